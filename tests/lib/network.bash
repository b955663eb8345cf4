# Stores behind a network: for each engine its server over a directory of this machine, its clients' mounts, and cuts between them.
#
#	serve ENGINE DIR [MS]   starts a server of DIR; every byte takes MS (default 0) each way. $BEHIND is where others change that store
#	client [OPTION...]      mounts it, as one more machine; $REMOTE is the mountpoint: what mount_store gets. OPTION: of the engine's mount program
#	sever stop|kill [N]     the server's processes are stopped (SIGSTOP), or killed; with N only those of server N: of a brick
#	mend                    they go on, or are started again
#
# Load after helpers.bash. All of it is this user's, on loopback, and keeps its files in the test's directory; teardown ends it.
#
# Here are the engines that `make test` has: sshfs, which talks to an sftp-server through pipes, and rclone-webdav and rclone-webdav-full: rclone's
# mount of its own WebDAV server, without and with its cache of files. The others are in tests/network/engines.bash. An engine is these functions,
# with its name, - as _, without -full: X_needs says which programs; X_prepare writes what they need; X_start starts the server, which is in $SERVERS then;
# X_ready, once it answers at $PORTS; X_mount sets $mount, the client's command, to which $REMOTE is added.
# shellcheck shell=bash disable=SC2034,SC2154

# How long the clients keep names and attributes, in seconds: their own defaults are 20 for sshfs and 300 for rclone.
KEPT=${CKPTFS_KEPT:-2}

ENGINE='' BEHIND='' SERVED='' NET='' MS=0 PORTS=() CLIENTS=() CLIENT_PIDS=() SERVERS=() LINES_HELD=() SEVERED=()
SFTP_SERVER=/usr/lib/openssh/sftp-server

of_engine() {
	local name=${ENGINE%-full}
	"${name//-/_}_$1" "${@:2}"
}

serve() {
	local program port
	ENGINE=$1 SERVED=$2 BEHIND=$2 MS=${3:-0} NET=$BATS_TEST_TMPDIR/net
	for program in $(of_engine needs); do
		PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || skip "$1: no ${program##*/} here; tests/deps.sh network installs it"
	done
	mkdir -p "$NET" "$2" || return
	of_engine prepare && start_servers && of_engine ready
}

start_servers() {
	local port
	of_engine start || return
	for port in "${PORTS[@]}"; do
		within 10000 answers "$port" || { cat "$NET"/*.log >&2; return 1; }
	done
}

client() {
	local mount=() n=${#CLIENTS[@]}
	local log=$NET/client$n.log
	REMOTE=$BATS_TEST_TMPDIR/remote$n
	mkdir -p "$REMOTE" || return
	of_engine mount "$n" "$@" || return
	"${mount[@]}" "$REMOTE" >>"$log" 2>&1 </dev/null 3>&- &
	CLIENTS+=("$REMOTE") CLIENT_PIDS+=($!)
	LOG=$log wait_mounted "$REMOTE" $! && within 20000 ls "$REMOTE" >/dev/null
}

# ---- what engines share ----

# A port of loopback that nobody uses now.
free_port() { "$PYTHON" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
answers() { (exec 4<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# server N COMMAND... - starts server N, unless it runs. Its output is in $NET/server.log.
server() {
	[[ -z ${SERVERS[$1]:-} ]] || ended "${SERVERS[$1]}" || return 0
	"${@:2}" >>"$NET/server.log" 2>&1 </dev/null 3>&- &
	SERVERS[$1]=$!
	# bash would report each that is killed.
	disown $!
}

# delayed PORT - $PORT is that of a delay line that leads to PORT; PORT itself where there is no delay.
delayed() {
	PORT=$1
	[[ $MS != 0 ]] || return 0
	"$PYTHON" "$REPO/tests/lib/delay.py" "$MS" port 0 "$1" >"$NET/line$1" 2>>"$NET/server.log" </dev/null 3>&- &
	LINES_HELD+=($!)
	within 10000 test -s "$NET/line$1" && PORT=$(<"$NET/line$1")
}

# ---- cuts ----

# tree_of PID... - these processes and all below them.
tree_of() {
	local pid below
	for pid; do
		echo "$pid"
		mapfile -t below < <(pgrep -P "$pid")
		tree_of "${below[@]}"
	done
}

sever() {
	local of=("${SERVERS[@]}") pid
	[[ -z ${2:-} ]] || of=("${SERVERS[$2]}")
	if [[ $ENGINE == sshfs ]]; then
		touch "$NET/down"
		mapfile -t of < <(while read -r pid; do ended "$pid" || echo "$pid"; done <"$NET/servers")
	fi
	mapfile -t SEVERED < <(tree_of "${of[@]}")
	[[ ${#SEVERED[@]} -gt 0 ]] || return
	if [[ $1 == stop ]]; then
		kill -STOP "${SEVERED[@]}"
	else
		kill -KILL "${SEVERED[@]}"
		SEVERED=()
	fi
}

mend() {
	rm -f "$NET/down"
	if [[ ${#SEVERED[@]} -gt 0 ]]; then
		kill -CONT "${SEVERED[@]}"
		SEVERED=()
	else
		start_servers
	fi
}

# ---- the end ----

ended() { ! kill -0 "$1" 2>/dev/null || grep -qs '^State:.Z' "/proc/$1/status"; }

# end_of PID... - ends these processes and what they started.
end_of() {
	local pid all
	mapfile -t all < <(tree_of "$@")
	kill -TERM "${all[@]}" 2>/dev/null
	for pid in "${all[@]}"; do
		within 5000 ended "$pid" 2>/dev/null || kill -KILL "$pid"
	done
}

# The mounts of ckptfs go first, while their store answers; then the clients, then the servers.
eval "served_$(declare -f teardown)"
teardown() {
	local i status=0
	[[ ${#SEVERED[@]} -eq 0 ]] || kill -CONT "${SEVERED[@]}"
	served_teardown || status=1
	for i in "${!CLIENTS[@]}"; do
		! mountpoint -q "${CLIENTS[i]}" || fusermount3 -u "${CLIENTS[i]}" 2>/dev/null || fusermount3 -uz "${CLIENTS[i]}" || status=1
		within 5000 ended "${CLIENT_PIDS[i]}" 2>/dev/null || true
	done
	end_of "${CLIENT_PIDS[@]}" "${SERVERS[@]}" "${LINES_HELD[@]}"
	[[ -z $NET ]] || grep -hE " [EC] |ERROR|rror:" "$NET"/*.log | tail -n 20
	return "$status"
}

# ---- sshfs ----

# sshfs_options - in $options: what every mount by sshfs has.
sshfs_options() {
	options=(-f -o "reconnect,dcache_timeout=$KEPT,dcache_stat_timeout=$KEPT,dcache_link_timeout=$KEPT,dcache_dir_timeout=$KEPT")
}

sshfs_needs() { echo sshfs "$SFTP_SERVER"; }
sshfs_prepare() {
	local line="$PYTHON $REPO/tests/lib/delay.py $MS run"
	[[ $MS != 0 ]] || line=
	printf '#!/bin/sh\n[ ! -e "%s/down" ] || exit 1\necho $$ >>"%s/servers"\nexec %s %s\n' "$NET" "$NET" "$line" "$SFTP_SERVER" >"$NET/ssh"
	chmod +x "$NET/ssh"
}
# The client starts it, and after a cut once more.
sshfs_start() { :; }
sshfs_ready() { :; }
sshfs_mount() {
	local options
	sshfs_options
	mount=(sshfs "${options[@]}" -o ssh_command="$NET/ssh" "${@:2}" "store:$SERVED")
}

# ---- rclone ----

# rclone_mount N OPTION... - the remote "store" of $NET/rclone.conf.
rclone_mount() {
	mount=(rclone mount --config "$NET/rclone.conf" --cache-dir "$NET/cache$1" --dir-cache-time "${KEPT}s" --attr-timeout 1s)
	[[ $ENGINE != *-full ]] || mount+=(--vfs-cache-mode full)
	mount+=("${@:2}" store:)
}

rclone_webdav_needs() { echo rclone; }
rclone_webdav_prepare() { PORTS=("$(free_port)"); }
# It looks into the directory each time.
rclone_webdav_start() { server 0 rclone serve webdav "$SERVED" --addr "127.0.0.1:${PORTS[0]}" --dir-cache-time 0s --config "$NET/none.conf"; }
rclone_webdav_ready() {
	delayed "${PORTS[0]}" || return
	printf '[store]\ntype = webdav\nurl = http://127.0.0.1:%s\nvendor = other\n' "$PORT" >"$NET/rclone.conf"
}
rclone_webdav_mount() { rclone_mount "$@"; }
