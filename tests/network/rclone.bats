#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store on rclone as it is by default, without its cache of files: what is opened there for writing can only be written once, from the beginning.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load engines
load ../lib/network_cases

@test "rclone on WebDAV: every view is right" { every_view_is_right rclone-webdav; }
@test "rclone on WebDAV: every view is right, 10 ms each way" { every_view_is_right rclone-webdav 10; }
@test "rclone on WebDAV: a step that another machine wrote shows" { new_step_shows rclone-webdav; }
@test "rclone on WebDAV: files that are replaced under readers, once rclone knows of it" { no_mixed_bytes rclone-webdav late; }
@test "rclone on WebDAV: it is mounted read-only, and the log says why" { is_read_only rclone-webdav; }
@test "rclone on sftp: every view is right" { every_view_is_right rclone-sftp; }
@test "rclone on sftp: every view is right, 10 ms each way" { every_view_is_right rclone-sftp 10; }
@test "rclone on sftp: a step that another machine wrote shows" { new_step_shows rclone-sftp; }
@test "rclone on sftp: files that are replaced under readers, once rclone knows of it" { no_mixed_bytes rclone-sftp late; }
@test "rclone on sftp: it is mounted read-only, and the log says why" { is_read_only rclone-sftp; }
