# Runs what the host says, over the second serial port.
#
#   the host says    ID COMMAND        any shell command; commands run side by side
#   the guest says   ready             once
#                    TIME              every 50 ms
#                    TIME ID|LINE      a line of its output, standard error included
#                    TIME ID=STATUS    it has ended
#
# TIME is the guest's since it was switched on, in hundredths of a second: it passes as fast as the host lets it, and
# setting the guest's clock does not change it.
#
# A line is written at once, so that lines of two commands do not mix.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec <>/dev/ttyS1 >&0
stty raw -echo
echo ready
now() { read -r now _ </proc/uptime && now=${now/./}; }
# Waits for what never comes: `sleep` would be a program to start each time.
mkfifo /run/never
exec {never}<>/run/never
while :; do
    read -rt 0.05 -u "$never"
    now
    printf '%s\n' "$now"
done &
while read -r id command; do
    {
        bash -c "$command" </dev/null 2>&1 | while IFS= read -r line; do
            now
            printf '%s %s|%s\n' "$now" "$id" "$line"
        done
        status=${PIPESTATUS[0]}
        now
        printf '%s %s=%s\n' "$now" "$id" "$status"
    } &
done
