#!/usr/bin/env bash
# The tests of a snapshot log in an object store run against Ceph's RADOS gateway: found, installed by apt-get, or one sentence.
set -u

complete() {
  for program in ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin; do
    command -v "$program" >/dev/null 2>&1 || return 1
  done
}

if complete; then exit 0; fi
run_as_root=""
if [ "$(id -u)" -ne 0 ]; then run_as_root="sudo -n"; fi
if command -v apt-get >/dev/null 2>&1; then
  echo "installing Ceph's monitor, OSD and RADOS gateway (60 MB)"
  export DEBIAN_FRONTEND=noninteractive
  $run_as_root apt-get update -qq && $run_as_root apt-get install -y -qq --no-install-recommends ceph-common ceph-mon ceph-osd radosgw >/dev/null
  if complete; then exit 0; fi
fi
echo "these tests need the programs of Ceph (Debian: ceph-common ceph-mon ceph-osd radosgw); without them they skip." >&2
exit 2
