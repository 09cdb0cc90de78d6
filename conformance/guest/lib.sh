# What the tests share. The card is always eth0; the wire is the user network 10.0.2.0/24 with the host at 10.0.2.2.
# From the kernel command line: $module (the card's driver), $options (its parameters), $iperf and $service (ports on the host),
# $least (Mbit/s that iperf3 must reach), $lines (how much proves that the card works).
host=10.0.2.2
address=10.0.2.15

fail() {
    echo "FAIL: $*"
    exit 1
}

# Shown beside the result in the table.
note() {
    echo "@@note $*"
}

# The host acts and answers: ask link off
ask() {
    echo "@@ask $*" >/dev/ttyS1
    read -r answer
    [ "$answer" = OK ] || fail "the host answered '$answer' to '$*'"
}

# within SECONDS COMMAND...: wait until the command succeeds
within() {
    tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

present() { [ -e /sys/class/net/eth0 ]; }
carrier_is() { [ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = "$1" ]; }
counter() { cat "/sys/class/net/eth0/statistics/$1"; }

link_up() {
    ip link set eth0 up || fail "ip link set eth0 up"
    within 15 carrier_is 1 || fail "no carrier within 15 s of ip link set up"
}

configure() {
    link_up
    ip addr replace $address/24 dev eth0
    ip route replace default via $host
}

answered() { ping -q -c 1 -W 1 $host >/dev/null 2>&1; }

reachable() {
    ping -q -c 3 -i 0.2 -W 3 $host >/tmp/ping 2>&1 || { cat /tmp/ping; return 1; }
}

load() {
    modprobe "$module" $options || fail "modprobe $module $options"
    within 10 present || fail "no eth0 within 10 s of modprobe $module"
}

unload() {
    rmmod "$module" || fail "rmmod $module"
    ! present || fail "eth0 is still there after rmmod $module"
}

# Every test begins here, whatever an earlier one left behind.
network() {
    if present && configure && ping -q -c 1 -W 3 $host >/dev/null 2>&1; then
        return
    fi
    echo "(the driver is loaded afresh: an earlier test left no working network)"
    grep -q "^$module " /proc/modules && rmmod "$module"
    load
    configure
    reachable || fail "no answer from $host even with the driver loaded afresh"
}

# Echo replies that the kernel has taken, whoever asked for them.
replies() {
    awk '$1 == "Icmp:" && column { print $column }
        $1 == "Icmp:" { for (i = 2; i <= NF; i++) if ($i == "InEchoReps") column = i }' /proc/net/snmp
}
replied() { [ $(($(replies) - replies_before)) -ge 10 ]; }

# echoes HOST SIZE...: ten of each size in one frame, none lost. Where the machine is busy, the last one may come after ping
# has left: after it has asked for all it waits for no more than 50 ms.
echoes() {
    far=$1
    shift
    for size; do
        replies_before=$(replies)
        ping -q -c 10 -i 0.05 -W 3 -M do -s "$size" "$far" >/tmp/ping 2>&1 || { cat /tmp/ping; fail "echo of $size bytes"; }
        grep -q " 0% packet loss" /tmp/ping || within 10 replied || { cat /tmp/ping; fail "lost echoes of $size bytes"; }
    done
}

numbers() { seq 1 "$1"; }

# transfer COUNT: that many lines by TCP each way, compared with what was sent by checksum
transfer() {
    count=$1
    expected=$(numbers "$count" | sha256sum | cut -d ' ' -f 1)
    fetched=$(echo "get $count" | timeout 20 nc $host "$service" | sha256sum | cut -d ' ' -f 1)
    [ "$fetched" = "$expected" ] || fail "what was fetched by TCP differs from what the host sent"
    size=$(numbers "$count" | wc -c)
    stored=$({ echo "put $size"; numbers "$count"; } | timeout 20 nc $host "$service")
    [ "$stored" = "$expected" ] || fail "what the host received by TCP differs from what was sent: '$stored'"
}

# The end of every test that changes something: the card still carries traffic both ways.
works() {
    reachable || fail "no answer from $host after: $*"
    transfer "$lines"
}
