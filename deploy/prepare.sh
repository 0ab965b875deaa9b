#!/bin/sh
# prepare.sh [NAMESPACE [OD_CONFIG]]: the namespace, its Secrets and the ConfigMap that the manifests here refer to.
#
# May be run again at any time: a Secret that exists is kept, the ConfigMap becomes what OD_CONFIG says. Without
# OD_CONFIG it is the shipped file, with the key of the Secret pyos-apikey asked of operators. Needs kubectl with the
# rights of an administrator of the namespace, and openssl. KUBECTL names another kubectl.
# Nothing secret is given to a program as an argument; the files are removed at the end.
set -eu
namespace=${1:-abcdesktop}
config=${2:-$(dirname "$0")/../od.config}
kubectl=${KUBECTL:-kubectl}

[ -r "$config" ] || { echo "cannot read $config" >&2; exit 1; }
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

k() { "$kubectl" -n "$namespace" "$@"; }

missing() { # SECRET: true when it is not there; ends the script when the cluster cannot be asked
  found=$(k get secret "$1" --ignore-not-found -o name) || exit 1
  [ -z "$found" ] || { echo "kept: secret $1"; return 1; }
}

label() { k label --overwrite "$1" "$2" "abcdesktop/role=$3" >/dev/null; }

pair() { # SECRET PREFIX ROLE
  missing "$1" || return 0
  private=$work/$2_private_key.pem
  public=$work/$2_public_key.pem
  openssl genrsa -traditional -out "$private" 2048 2>/dev/null || openssl genrsa -out "$private" 2048 2>/dev/null
  if [ "$3" = desktop.payloadkeys ]; then
    # the router's tool chain reads only PKCS#1
    openssl rsa -in "$private" -RSAPublicKey_out -out "$public" 2>/dev/null
  else
    openssl rsa -in "$private" -pubout -out "$public" 2>/dev/null
  fi
  k create secret generic "$1" --from-file="$private" --from-file="$public"
  label secret "$1" "$3"
}

if [ -z "$("$kubectl" get namespace "$namespace" --ignore-not-found -o name)" ]; then
  "$kubectl" create namespace "$namespace"
fi
pair abcdesktopjwtusersigning abcdesktop_jwt_user_signing user.signingkeys
pair abcdesktopjwtdesktopsigning abcdesktop_jwt_desktop_signing desktop.signingkeys
pair abcdesktopjwtdesktoppayload abcdesktop_jwt_desktop_payload desktop.payloadkeys

if missing abcdesktop-mongod-keyfile; then
  openssl rand -base64 756 > "$work/mongod.keyfile"
  k create secret generic abcdesktop-mongod-keyfile --from-file="$work/mongod.keyfile"
fi

if missing secret-mongodb; then
  root=$(openssl rand -hex 24)
  user=$(openssl rand -hex 24)
  cat > "$work/mongodb" <<END
MONGO_ROOT_USERNAME=root
MONGO_ROOT_PASSWORD=$root
MONGO_USERNAME=pyos
MONGO_PASSWORD=$user
MONGO_USERS_LIST=pyos:readWrite:$user
MONGO_DBS_LIST=image,fail2ban,loginHistory,applications,profiles,desktop
MONGODB_URL=mongodb://pyos:$user@mongodb
END
  k create secret generic secret-mongodb --from-env-file="$work/mongodb"
  label secret secret-mongodb mongodb
fi

if missing pyos-apikey; then
  openssl rand -hex 24 | tr -d '\n' > "$work/apikey"
  k create secret generic pyos-apikey --from-file="$work/apikey"
fi

# The shipped file asks operators for no key, as the product before it.
apikey="'apikey': [ 'file:///config.apikey/apikey' ],"
if [ $# -lt 2 ]; then
  sed "s|^ *'ManagerController': {|& $apikey|" "$config" > "$work/od.config"
else
  cp "$config" "$work/od.config"
fi
grep -Eq "^[^#]*['\"]apikey['\"] *: *[[('\"]" "$work/od.config" ||
  echo "operators are asked for no key: put $apikey into controllers.ManagerController of $config" >&2
k create configmap abcdesktop-config --from-file="$work/od.config" --dry-run=client -o yaml | k apply -f -
label configmap abcdesktop-config pyos.config
