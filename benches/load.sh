#!/usr/bin/env bash
# What watching costs: CPU share and memory of the real binary in front of a synthetic service of two sizes.
#
#   benches/load.sh [seconds [tasks changes]]      how long each case is measured (default 30), and one size instead of the usual two
#   benches/load.sh --scale [seconds]              100,000 and 1,000,000 tasks, headless, against what they may cost
#   benches/load.sh --keys [keys]                  time from a key to its frame in front of 100,000 tasks and 20,000 changes a second
#   benches/load.sh --fleet [seconds [targets]]    50 services of 2,000 tasks, which come from a file, in one process, against what that may cost
#
# Builds the tool as it is installed (release, without the flag that the examples need), lets it watch the service headless and, if there is a
# terminal interface, in a terminal of 160 x 45, and prints for each:
#   attach  CPU time until the measurement began, which is mostly the first message
#   cpu     CPU time (user + system) per second of wall time afterwards, in percent of one core
#   rss     resident memory at the end, and the highest there was (VmHWM)
#   first   size of the first message, which contains everything that is alive
# CPU time is what the process used; other work on the machine stretches it a little, but does not count in it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scale= fleet= keys=
if [[ ${1:-} == --scale ]]; then
    scale=yes
    shift
elif [[ ${1:-} == --fleet ]]; then
    fleet=${3:-50}
    shift
elif [[ ${1:-} == --keys ]]; then
    keys=${2:-600}
    shift
fi
seconds=${1:-30}
sizes=('10000 3000' '100000 20000')
if [[ ! $fleet ]] && (($# > 2)); then sizes=("$2 $3"); fi
# With --scale: the most that each may take, in percent of a core and in MiB.
limits=()
if [[ $scale ]]; then
    sizes=('100000 20000' '1000000 100000')
    limits=('3 80' '10 600')
fi
target=${CARGO_TARGET_DIR:-target}
plain=(--release --locked --config 'build.rustflags=[]')
if [[ -v RUSTFLAGS || -v CARGO_ENCODED_RUSTFLAGS ]]; then
    echo "RUSTFLAGS is set and would be measured too: unset it." >&2
    exit 1
fi
# Two commands, for one would give the tool the features that only examples and tests need.
cargo build "${plain[@]}" --bin tokio-canary
cargo build "${plain[@]}" --example synthetic_service
tool=$target/release/tokio-canary
service=$target/release/examples/synthetic_service
if [[ $keys ]]; then
    # The driver itself may be slow to build, and needs no speed.
    cargo build --locked --bench keys
    driver=$(cargo build --locked --bench keys --message-format json |
        sed -n 's/.*"name":"keys".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    exec "$driver" --tool "$tool" --service "$service" --keys "$keys"
fi

folder=$(mktemp -d)
started=()
cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT

ticks=$(getconf CLK_TCK)
cpu_ticks() { # user + system time, counted from behind the name, which may hold spaces
    local stat
    stat=$(<"/proc/$1/stat")
    read -ra stat <<<"${stat##*) }"
    echo $((stat[11] + stat[12]))
}
memory() { awk -v key="$2:" '$1 == key { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }

wait_for() { # a line in a file
    local tries
    for ((tries = 0; tries < 1800; tries++)); do
        grep -q "$2" "$1" 2>/dev/null && return
        sleep 0.1
    done
    echo "it never came to '$2':" >&2
    cat "$1" >&2
    exit 1
}

still_there() {
    [[ -d /proc/$1 ]] && return
    echo "the tool has ended by itself:" >&2
    tail -n 5 "$folder/err" "$folder/screen" >&2 2>/dev/null || true
    exit 1
}

measure() { # name, pid
    local pid=$2 before after began ended attach first
    sleep 5
    still_there "$pid"
    before=$(cpu_ticks "$pid") began=$(date +%s%N)
    sleep "$seconds"
    still_there "$pid"
    after=$(cpu_ticks "$pid") ended=$(date +%s%N)
    attach=$(awk -v t="$before" -v hz="$ticks" 'BEGIN { printf "%.2f", t / hz }')
    first=$(sed -n 's/^first message of \([0-9]*\) bytes$/\1/p' "$folder"/service* | tail -n 1)
    # The peak comes from the first message: beyond what stays, at most twice its size.
    awk -v name="$1" -v attach="$attach" -v used=$((after - before)) -v hz="$ticks" -v wall=$((ended - began)) \
        -v rss="$(memory "$pid" VmRSS)" -v peak="$(memory "$pid" VmHWM)" -v first="${first:-0}" -v limits="${3:-}" '
        BEGIN {
            cpu = 100 * used / hz / (wall / 1e9); first /= 1048576
            printf "%-42s %9s s %8.2f %% %7d MiB %7d MiB %7.1f MiB\n", name, attach, cpu, rss, peak, first
            if (split(limits, limit, " ") == 2) {
                printf "    cpu %s (limit %d %%), rss %s (limit %d MiB), peak %s (limit %d MiB)\n", \
                    cpu < limit[1] ? "ok" : "TOO HIGH", limit[1], rss <= limit[2] ? "ok" : "TOO HIGH", limit[2], \
                    peak <= rss + 2 * first ? "ok" : "TOO HIGH", rss + 2 * first
                exit !(cpu < limit[1] && rss <= limit[2] && peak <= rss + 2 * first)
            }
        }' || missed=yes
}
missed=

headless() { # name, address, tasks, limits
    : >"$folder/out" >"$folder/err" # what the run before has left there would be waited for
    "$tool" watch --isolated --decode-limit 1024 --output ndjson --heartbeat 1s "$2" >"$folder/out" 2>"$folder/err" &
    local pid=$!
    started+=("$pid")
    wait_for "$folder/err" Connected
    # It is attached when it counts as many tasks as there are, or nearly: some end and begin all the time.
    wait_for "$folder/out" "\"tasks\":[0-9]\{$((${#3} - 1)),\}"
    measure "$1" "$pid" "$4"
    kill "$pid"
    wait "$pid" || true
    # What was found is part of the price.
    grep -o '"detector":"[a-z-]*"' "$folder/out" | sort | uniq -c | sed 's/^/    reported:/' || true
}

interactive() { # name, address, keys to press once it is up
    mkfifo "$folder/keys"
    script -qfec "stty cols 160 rows 45; echo \$\$ >'$folder/pid'; exec '$tool' '$2'" /dev/null \
        <"$folder/keys" >"$folder/screen" 2>&1 &
    local terminal=$! pid
    started+=("$terminal")
    exec 3>"$folder/keys"
    wait_for "$folder/pid" '[0-9]'
    pid=$(<"$folder/pid")
    started+=("$pid")
    sleep 3
    printf '%s' "$3" >&3
    measure "$1" "$pid"
    printf 'q' >&3
    exec 3>&-
    wait "$terminal" || true
    rm "$folder/keys" "$folder/pid"
}

many() { # targets: each a service of its own, all of them found in a file
    local nth service_pid services=()
    for ((nth = 0; nth < $1; nth++)); do
        "$service" --bind 127.0.0.1:0 --tasks 2000 --changes 600 >"$folder/service.$nth" &
        service_pid=$!
        started+=("$service_pid")
        services+=("$service_pid")
    done
    for ((nth = 0; nth < $1; nth++)); do
        wait_for "$folder/service.$nth" 'listening on'
        sed -n 's/^listening on //p' "$folder/service.$nth" >>"$folder/targets"
    done
    "$tool" watch --isolated --output ndjson --heartbeat 1s --max-targets "$1" --targets-from "$folder/targets" \
        >"$folder/out" 2>"$folder/err" &
    local pid=$!
    started+=("$pid")
    for ((nth = 0; nth < 600; nth++)); do
        (($(grep -c Connected "$folder/err" || true) >= $1)) && break
        sleep 0.1
    done
    measure "$1 services of 2000 tasks, 600 changes/s" "$pid" '25 400'
    kill "$pid"
    wait "$pid" || true
    kill "${services[@]}"
    wait "${services[@]}" 2>/dev/null || true
}

printf '\n%-42s %11s %10s %11s %11s %11s\n' case attach cpu rss 'peak rss' 'first'
if [[ $fleet ]]; then
    many "$fleet"
    if [[ $missed ]]; then exit 1; fi
    exit
fi
for index in "${!sizes[@]}"; do
    size=${sizes[index]}
    read -r tasks changes <<<"$size"
    : >"$folder/service"
    "$service" --bind 127.0.0.1:0 --tasks "$tasks" --changes "$changes" >"$folder/service" &
    server=$!
    started+=("$server")
    wait_for "$folder/service" 'listening on'
    address=$(sed 's/^listening on //' "$folder/service")
    name="$tasks tasks, $changes changes/s"
    headless "$name, watch" "$address" "$tasks" "${limits[index]:-}"
    if [[ ! $scale ]]; then
        interactive "$name, TUI" "$address" ''
        interactive "$name, TUI spawn sites" "$address" 't'
        interactive "$name, TUI task list" "$address" 'T'
    fi
    kill "$server"
    wait "$server" || true
done
if [[ $missed ]]; then exit 1; fi
