# Runs the host's commands, received over the second serial port.
#
#   host     ID COMMAND        shell command; commands run concurrently
#   guest    ready             once
#            TIME              every 50 ms
#            TIME ID|LINE      line of a command's output, standard error included
#            TIME ID=STATUS    exit status of a command
#
# TIME is the guest's uptime in hundredths of a second. It depends on the host's speed, not on the guest's clock.
#
# Each line is a single write, so that lines of different commands do not mix.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec <>/dev/ttyS1 >&0
stty raw -echo
echo ready
now() { read -r now _ </proc/uptime && now=${now/./}; }
# Reads from an empty FIFO with a timeout: `sleep` would start a program each time.
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
