#!/bin/sh
# geodata.sh GEOLITE_DIRECTORY IPASN_FILE: the address databases of an image, as its build arguments say.
#
# GEOLITE_URL                              directory with GeoLite2-City.mmdb and GeoLite2-ASN.mmdb; empty: none
# GEOLITE_CITY_SHA256, GEOLITE_ASN_SHA256  expected checksums; empty: not checked
# IPASN_URL                                routeviews: build today's; else the URL of an ipasn_db.dat; empty: none
# IPASN_SHA256                             expected checksum of a downloaded ipasn_db.dat
#
# Everything here is optional at run time. A download that fails or has another checksum ends the build: an image
# without what was asked for would be found out too late.
set -eu
geolite=$1
ipasn=$2

download() { # URL FILE SHA256
  curl -fsSL --retry 3 --connect-timeout 20 --max-time 600 -o "$2" "$1"
  if [ -n "$3" ]; then
    echo "$3  $2" | sha256sum -c - >/dev/null || { echo "$1: not the expected checksum" >&2; exit 1; }
  fi
}

mkdir -p "$geolite" "$(dirname "$ipasn")"
if [ -n "${GEOLITE_URL:-}" ]; then
  download "$GEOLITE_URL/GeoLite2-City.mmdb" "$geolite/GeoLite2-City.mmdb" "${GEOLITE_CITY_SHA256:-}"
  download "$GEOLITE_URL/GeoLite2-ASN.mmdb" "$geolite/GeoLite2-ASN.mmdb" "${GEOLITE_ASN_SHA256:-}"
fi
case ${IPASN_URL:-} in
  '') ;;
  routeviews)
    work=$(mktemp -d)
    (cd "$work" && pyasn_util_download.py --latestv46)
    set -- "$work"/rib.*
    pyasn_util_convert.py --single "$1" "$ipasn"
    rm -rf "$work"
    ;;
  *) download "$IPASN_URL" "$ipasn" "${IPASN_SHA256:-}" ;;
esac
