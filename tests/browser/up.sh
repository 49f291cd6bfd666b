#!/usr/bin/env bash
# Installs a Chromium for tests/browser where none is there, if that can be done: as root on Debian and its kin. Where it
# cannot, the tests of the page are skipped, which is said here and by pytest.
set -euo pipefail

say() { echo "tests/browser/up.sh: $*" >&2; }
found() { [ -n "${NEUROPT_CHROMIUM:-}" ] || command -v chromium || command -v chromium-browser || command -v google-chrome; }

found >/dev/null && exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  say "no Chromium here, and this is not root on Debian: tests/browser is skipped"
  exit 0
fi
say "installing chromium"
# A page without a font shows boxes, which nobody can judge by a screenshot.
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium \
  fonts-dejavu-core; } >/dev/null || say "chromium could not be installed: tests/browser is skipped"
