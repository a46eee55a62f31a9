#!/bin/sh -eu
# Stands in for the Azure CLI. It knows the commands that the documents use and checks their
# arguments. Objects and tokens are files beside it. What a command changes in the tenant it appends
# to the file `tenant`, a line for each change; the test makes these changes (tenant.rs).

here=$(dirname "$0")

fail() {
	echo "az: $1" >&2
	exit 1
}

# Prints the value of an option.
option() {
	name=$1
	shift
	while [ $# -gt 1 ]; do
		if [ "$1" = "$name" ]; then
			printf '%s' "$2"
			return
		fi
		shift
	done
	fail "$name is missing"
}

has() {
	case " $2 " in *" $1 "*) ;; *) fail "$1 is missing" ;; esac
}

change() {
	printf '%s\n' "$(printf '%s' "$1" | tr '\n' ' ')" >>"$here/tenant"
}

show() {
	cat "$here/$(printf '%s' "$1" | tr / _)"
}

case "$*" in
'account get-access-token '*)
	resource=$(option --resource "$@")
	show "$ACCOUNT $resource"
	;;
'ad user show '* | 'ad sp show '*)
	id=$(option --id "$@")
	show "$id"
	;;
'ad group show '*)
	group=$(option --group "$@")
	show "$group"
	;;
'ad app create '*)
	name=$(option --display-name "$@")
	audience=$(option --sign-in-audience "$@")
	[ "$audience" = AzureADMyOrg ] || fail "an application for other tenants too"
	change "application $name"
	show application
	;;
'ad sp create '*)
	id=$(option --id "$@")
	change "principal $id"
	;;
'ad app permission add '*)
	id=$(option --id "$@")
	api=$(option --api "$@")
	while [ "$1" != --api-permissions ]; do shift; done
	shift
	for permission; do change "permission $id $api $permission"; done
	;;
'ad app permission admin-consent '*)
	id=$(option --id "$@")
	change "consent $id"
	;;
'ad app credential reset '*)
	id=$(option --id "$@")
	certificate=$(option --cert "$@")
	has --append "$*"
	grep -q PRIVATE "${certificate#@}" && fail "a private key leaves the machine"
	cp "${certificate#@}" "$here/certificate"
	change "certificate $id"
	;;
'ad app federated-credential create '*)
	id=$(option --id "$@")
	parameters=$(option --parameters "$@")
	change "federation $id $parameters"
	;;
'vm identity assign '*)
	option --resource-group "$@" >/dev/null
	option --name "$@" >/dev/null
	show machine
	;;
'rest --method POST '*)
	uri=$(option --uri "$@")
	body=$(option --body "$@")
	change "post $uri $body"
	;;
*) fail "no such command: $*" ;;
esac
