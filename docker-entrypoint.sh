#!/bin/sh
# Entry point of the images: go to the directory, activate the environment, become Python.
#
# PYOS_CA_DIR (default /config.ca)   certificates of authorities to trust besides the system's: *.pem and *.crt files
# PYOS_RUN_DIR (default /tmp)        writable directory that gets the bundle of all of them
#
# Arguments are handed to od.py: `docker-entrypoint.sh --check-config`.
set -eu

home=${PYOS_HOME:-/var/pyos}
cd "$home"

if [ -r bin/activate ]; then
  # shellcheck source=/dev/null # made by venv
  . bin/activate
fi

import_authorities() {
  directory=${PYOS_CA_DIR:-/config.ca}
  [ -d "$directory" ] || return 0
  system=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  bundle=${PYOS_RUN_DIR:-/tmp}/pyos-ca-bundle.pem
  found=0
  for file in "$directory"/*.pem "$directory"/*.crt; do
    [ -f "$file" ] || continue
    if ! grep -q -e '-----BEGIN CERTIFICATE-----' "$file"; then
      echo "docker-entrypoint: $file holds no certificate in PEM format" >&2
      exit 1
    fi
    if [ "$found" = 0 ]; then
      cat "$system" > "$bundle.new"
      found=1
    fi
    { echo; cat "$file"; } >> "$bundle.new"
  done
  [ "$found" = 1 ] || return 0
  mv -f "$bundle.new" "$bundle"
  SSL_CERT_FILE=$bundle
  REQUESTS_CA_BUNDLE=$bundle
  export SSL_CERT_FILE REQUESTS_CA_BUNDLE
}
import_authorities

ntlm=oc/auth/ntlm/ntlm_auth
if [ -e "$ntlm" ] && [ ! -x "$ntlm" ]; then
  echo "docker-entrypoint: $home/$ntlm cannot be executed: no NTLM credentials will be made" >&2
fi

exec ./od.py "$@"
