# The engines of stores behind a network that `make test-network` has, besides those of tests/lib/network.bash, after which this is loaded.
#
# sshd: sshfs by ssh to an sshd of this test's. rclone-sftp and rclone-sftp-full: rclone's mount through that sshd, without and with its cache of
# files. glusterfs: a volume of two bricks that hold the same. nfs: Ganesha's server and the kernel's client.
# shellcheck shell=bash disable=SC2034,SC2154

ENGINES=(sshfs sshd rclone-webdav rclone-webdav-full rclone-sftp rclone-sftp-full glusterfs nfs)

# ---- sshd ----

sshd_needs() { echo sshfs ssh ssh-keygen sshd "$SFTP_SERVER"; }

sshd_prepare() {
	# What the package's unit makes at boot.
	[[ $EUID -ne 0 || -d /run/sshd ]] || mkdir -m 755 /run/sshd || return
	ssh-keygen -q -t ed25519 -N '' -f "$NET/host" && ssh-keygen -q -t ed25519 -N '' -f "$NET/key" || return
	PORTS=("$(free_port)")
	cat >"$NET/sshd_config" <<-END
		ListenAddress 127.0.0.1:${PORTS[0]}
		HostKey $NET/host
		AuthorizedKeysFile $NET/key.pub
		PidFile none
		StrictModes no
		UsePAM no
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		Subsystem sftp $SFTP_SERVER
	END
}

sshd_start() { server 0 "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -e -f "$NET/sshd_config"; }

# shellcheck disable=SC2153
sshd_ready() {
	delayed "${PORTS[0]}" || return
	cat >"$NET/ssh_config" <<-END
		Host store
		HostName 127.0.0.1
		Port $PORT
		User $(id -un)
		IdentityFile $NET/key
		IdentitiesOnly yes
		StrictHostKeyChecking no
		UserKnownHostsFile /dev/null
		LogLevel ERROR
	END
}

sshd_mount() {
	local options
	sshfs_options
	mount=(sshfs "${options[@]}" -F "$NET/ssh_config" "${@:2}" "store:$SERVED")
}

# ---- rclone by sshd ----

rclone_sftp_needs() { echo rclone ssh-keygen sshd "$SFTP_SERVER"; }
rclone_sftp_prepare() { sshd_prepare; }
rclone_sftp_start() { sshd_start; }
rclone_sftp_ready() {
	delayed "${PORTS[0]}" || return
	printf '[sftp]\ntype = sftp\nhost = 127.0.0.1\nport = %s\nuser = %s\nkey_file = %s\nshell_type = none\n' "$PORT" "$(id -un)" "$NET/key" >"$NET/rclone.conf"
	printf '[store]\ntype = alias\nremote = sftp:%s\n' "$SERVED" >>"$NET/rclone.conf"
}
rclone_sftp_mount() { rclone_mount "$@"; }

# ---- GlusterFS: a process for each brick and each client, without its daemon of management ----

glusterfs_needs() { echo glusterfs glusterfsd setfattr; }

# layer NAME TYPE BELOW [OPTION VALUE]... - a block of a volume's description; several names in BELOW.
layer() {
	printf 'volume %s\n  type %s\n' "$1" "$2"
	[[ -z $3 ]] || printf '  subvolumes %s\n' "$3"
	shift 3
	while [[ $# -gt 0 ]]; do
		printf '  option %s %s\n' "$1" "$2"
		shift 2
	done
	printf 'end-volume\n'
}

glusterfs_prepare() {
	local i brick
	[[ $EUID -eq 0 ]] || skip "glusterfs: its bricks need trusted xattrs, so root"
	for i in 0 1; do
		PORTS+=("$(free_port)")
		brick=$NET/brick$i
		mkdir -p "$brick/.glusterfs/indices" || return
		setfattr -n trusted.glusterfs.volume-id -v 0x11111111111111111111111111111111 "$brick" 2>/dev/null || skip "glusterfs: no trusted xattrs in $NET"
		{
			layer posix storage/posix '' directory "$brick" volume-id 11111111-1111-1111-1111-111111111111
			layer access features/access-control posix
			layer locks features/locks access
			layer upcall features/upcall locks cache-invalidation off
			layer threads performance/io-threads upcall
			layer index features/index threads index-base "$brick/.glusterfs/indices"
			layer brick debug/io-stats index
			layer server protocol/server brick transport-type tcp transport.socket.bind-address 127.0.0.1 \
				transport.socket.listen-port "${PORTS[i]}" auth.addr.brick.allow '*'
		} >"$brick.vol"
	done
}

glusterfs_start() {
	server 0 glusterfsd -N -f "$NET/brick0.vol" -l "$NET/brick0.log"
	server 1 glusterfsd -N -f "$NET/brick1.vol" -l "$NET/brick1.log"
}

# The layers that GlusterFS 10 turns on by default. What was in $SERVED is copied in, and others change the store by a client of their own.
glusterfs_ready() {
	local i below type
	for i in 0 1; do
		delayed "${PORTS[i]}" || return
		layer "client$i" protocol/client '' transport-type tcp remote-host 127.0.0.1 remote-port "$PORT" remote-subvolume brick ping-timeout 5
	done >"$NET/client.vol"
	{
		layer replicate cluster/replicate 'client0 client1' afr-pending-xattr client0,client1
		layer distribute cluster/distribute replicate
		layer utime features/utime distribute noatime on
		below=utime
		for type in write-behind open-behind quick-read md-cache; do
			layer "$type" "performance/$type" "$below"
			below=$type
		done
	} >>"$NET/client.vol"
	client || return
	BEHIND=$REMOTE
	cp -a "$SERVED/." "$BEHIND/"
}

glusterfs_mount() { mount=(glusterfs -N --process-name fuse -f "$NET/client.vol" -l "$NET/glusterfs$1.log" "${@:2}"); }

# ---- NFS ----

nfs_needs() { echo ganesha.nfsd mount.nfs; }

nfs_prepare() {
	grep -qw nfs4 /proc/filesystems || modprobe -q nfsv4 2>/dev/null || skip "nfs: this kernel has no NFS client"
	[[ $EUID -eq 0 ]] || skip "nfs: mounting needs root"
	PORTS=("$(free_port)")
	cat >"$NET/ganesha.conf" <<-END
		NFS_CORE_PARAM { Protocols = 4; NFS_Port = ${PORTS[0]}; Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; }
		NFSv4 { RecoveryRoot = $NET/recovery; Grace_Period = 1; Graceless = true; }
		EXPORT { Export_Id = 1; Path = $SERVED; Pseudo = /store; Protocols = 4; Access_Type = RW; Squash = no_root_squash; SecType = sys; FSAL { Name = VFS; } }
	END
}

nfs_start() { server 0 ganesha.nfsd -F -f "$NET/ganesha.conf" -L "$NET/ganesha.log" -p "$NET/ganesha.pid"; }
nfs_ready() { delayed "${PORTS[0]}"; }

# Its client is the kernel: the process that stands for it ends with the mount.
# shellcheck disable=SC2016
nfs_mount() { mount=(bash -c 'mount -t nfs4 -o "vers=4.2,port=$1,proto=tcp,acregmax=$2,acdirmax=$2" 127.0.0.1:/store "${@: -1}" && while mountpoint -q "${@: -1}"; do sleep 0.2; done' nfs "$PORT" "$KEPT" "${@:2}"); }
