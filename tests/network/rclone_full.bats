#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store on rclone with its cache of files, by WebDAV and by sftp.
#
# No case publishes by two clients at once, as two_publish_at_once does on other engines. It fails here: each client makes a file with O_EXCL in its own
# cache and sends it seconds later, so both have the lease and publish. No program on top of rclone can change that, and one client can't find out by trying
# that there is another. So ckptfs says that one machine alone should write; that is tested.
# Nor is a file replaced under readers, and there is no storm: rclone's cache holds the old file, and mixes both, for as long as anybody has it open, and
# under a storm rclone 1.60 itself hangs now and then: a read of its mount is never answered.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load engines
load ../lib/network_cases

@test "rclone on WebDAV: every view is right" { every_view_is_right rclone-webdav-full; }
@test "rclone on WebDAV: every view is right, 10 ms each way" { every_view_is_right rclone-webdav-full 10; }
@test "rclone on WebDAV: a step that another machine wrote shows" { new_step_shows rclone-webdav-full; }
@test "rclone on WebDAV: each door publishes" { every_door_publishes rclone-webdav-full; }
@test "rclone on WebDAV: a draft whose files come slowly is published" { files_come_slowly rclone-webdav-full; }
@test "rclone on WebDAV: the daemon is killed" { killed rclone-webdav-full "$MOMENTS"; }
@test "rclone on WebDAV: the log and --status say that one machine alone should write" { says_one_machine rclone-webdav-full 1; }
@test "rclone on WebDAV: two mounts on one client publish one draft at once" { two_mounts_publish_at_once rclone-webdav-full; }
@test "rclone on WebDAV: the server stops, and goes on" { severed rclone-webdav-full stop "$MOMENTS"; }
@test "rclone on WebDAV: the server is killed, and comes back" { severed rclone-webdav-full kill "$MOMENTS"; }
@test "rclone on sftp: every view is right" { every_view_is_right rclone-sftp-full; }
@test "rclone on sftp: every view is right, 10 ms each way" { every_view_is_right rclone-sftp-full 10; }
@test "rclone on sftp: a step that another machine wrote shows" { new_step_shows rclone-sftp-full; }
@test "rclone on sftp: each door publishes" { every_door_publishes rclone-sftp-full; }
@test "rclone on sftp: a draft whose files come slowly is published" { files_come_slowly rclone-sftp-full; }
@test "rclone on sftp: the daemon is killed" { killed rclone-sftp-full "$MOMENTS"; }
@test "rclone on sftp: the log and --status say that one machine alone should write" { says_one_machine rclone-sftp-full 1; }
@test "rclone on sftp: two mounts on one client publish one draft at once" { two_mounts_publish_at_once rclone-sftp-full; }
@test "rclone on sftp: the server stops, and goes on" { severed rclone-sftp-full stop "$MOMENTS"; }
@test "rclone on sftp: the server is killed, and comes back" { severed rclone-sftp-full kill "$MOMENTS"; }
