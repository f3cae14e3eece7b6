# Runs what the host says, over the second serial port.
#
#   the host says    ID COMMAND        any shell command; commands run side by side
#   the guest says   ready             once
#                    ID|LINE           a line of its output, standard error included
#                    ID=STATUS         it has ended
#
# A line is written at once, so that lines of two commands do not mix.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec <>/dev/ttyS1 >&0
stty raw -echo
echo ready
while read -r id command; do
    {
        bash -c "$command" </dev/null 2>&1 | while IFS= read -r line; do printf '%s|%s\n' "$id" "$line"; done
        printf '%s=%s\n' "$id" "${PIPESTATUS[0]}"
    } &
done
