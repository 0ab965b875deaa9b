#!/bin/sh
# peers.sh build PYTHON|run|test|bench|images: install what the virtual environment, `make run`, `make test`,
# `make bench` or `make image-check` needs from Debian's packages, when permitted.
# Nothing here is needed to serve: without memcached a single replica keeps its cache in the process, and tests whose
# program is missing are skipped and say so.
set -u
missing=""
if [ "${1:-}" = build ]; then # pyasn is compiled
  command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
  include=$("$2" -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)
  [ -e "$include/Python.h" ] || missing="$missing python3-dev"
  "$2" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
else
  command -v memcached >/dev/null 2>&1 || missing="$missing memcached"
fi
if [ "${1:-}" = images ]; then # build and run container images without a registry
  for program in buildah mmdebstrap runc; do
    command -v $program >/dev/null 2>&1 || missing="$missing $program"
  done
fi
if [ "${1:-test}" = test ] || [ "${1:-}" = bench ]; then # a directory
  { command -v slapd || [ -x /usr/sbin/slapd ]; } >/dev/null 2>&1 || missing="$missing slapd"
  command -v ldapadd >/dev/null 2>&1 || missing="$missing ldap-utils"
fi
if [ "${1:-test}" = test ]; then
[ -x /usr/sbin/named ] || missing="$missing bind9"
if ! command -v npm >/dev/null 2>&1; then # the OpenID provider needs Node.js 20, which older releases have not
  case "$(apt-cache policy nodejs 2>/dev/null | sed -n 's/.*Candidate: //p')" in
    2[0-9].*|[3-9][0-9].*) missing="$missing nodejs npm" ;;
  esac
fi
# an Active Directory (Samba), Kerberos programs with the headers of the Python binding, NTLM hashes, a small DNS
command -v samba >/dev/null 2>&1 ||
  missing="$missing samba samba-ad-dc samba-dsdb-modules samba-vfs-modules samba-ad-provision winbind ldb-tools"
command -v kinit >/dev/null 2>&1 || missing="$missing krb5-user"
[ -e /usr/include/gssapi/gssapi.h ] || missing="$missing libkrb5-dev gcc"
[ -x /usr/sbin/cntlm ] || missing="$missing cntlm"
{ command -v dnsmasq || [ -x /usr/sbin/dnsmasq ]; } >/dev/null 2>&1 || missing="$missing dnsmasq-base"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
# the page of the API document is tested in a browser
{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1 ||
  missing="$missing chromium"
fi
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed:$missing (install with your package manager for the full stack)"
  exit 0
fi
if [ "$(id -u)" = 0 ]; then
  sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  sudo="sudo -n"
else
  echo "not installed:$missing (for the full stack: apt-get install$missing)"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt="$sudo apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300"
$apt update >/dev/null 2>&1
# shellcheck disable=SC2086 # a list of package names
$apt install -y --no-install-recommends $missing >/dev/null 2>&1 && exit 0
# one name that this release does not know must not keep the others away
for package in $missing; do
  $apt install -y --no-install-recommends "$package" >/dev/null 2>&1 || echo "could not install: $package"
done
exit 0
