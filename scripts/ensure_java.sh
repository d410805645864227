#!/usr/bin/env bash
# Spark 4 needs Java 17 or newer: found, installed by apt-get where that is possible, or one sentence that says how.
set -u

java_major() {
  command -v java >/dev/null 2>&1 || { echo 0; return; }
  java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

major=$(java_major)
if [ "${major:-0}" -ge 17 ]; then exit 0; fi

run_as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then run_as_root="sudo -n"; else run_as_root="no"; fi
fi
if [ "$run_as_root" != "no" ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing Java 17 (found: ${major:-none})"
  $run_as_root apt-get update -qq && $run_as_root apt-get install -y -qq openjdk-17-jre-headless >/dev/null
  major=$(java_major)
  if [ "${major:-0}" -ge 17 ]; then exit 0; fi
fi
echo "mmse needs Java 17 or newer (found: ${major:-none}): install it, for example 'apt-get install openjdk-17-jre-headless', and run make again." >&2
exit 2
