#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store behind a network is read: every engine, by the real programs.

load ../lib/helpers
load ../lib/network
load engines
load ../lib/network_cases

@test "sshfs: every view is right" { every_view_is_right sshfs; }
@test "sshfs by sshd, 10 ms each way: every view is right" { every_view_is_right sshd 10; }
@test "rclone on WebDAV, 10 ms each way: every view is right" { every_view_is_right rclone-webdav 10; }
@test "rclone on sftp: every view is right" { every_view_is_right rclone-sftp; }
@test "rclone on sftp, with its cache: every view is right" { every_view_is_right rclone-sftp-full; }
@test "GlusterFS: every view is right" { every_view_is_right glusterfs; }
@test "GlusterFS, 10 ms each way: every view is right" { every_view_is_right glusterfs 10; }
@test "NFS: every view is right" { every_view_is_right nfs; }
