#!/bin/sh
# The same as scenario.py, for psql.
sleep='SELECT pg_sleep(600)'
sleeps="SELECT count(*) FROM pg_stat_activity WHERE query = '$sleep' AND state = 'active'"

ask() {
	# shown: psql
	PGPASSWORD=$(cat "$file") psql -X -w -A -t -c "$1"
	# end
}

# Interrupts psql, as Ctrl-C does. A script ends with that.
cancel() {
	PGPASSWORD=$(cat "$file") psql -X -w -c "$sleep" &
	until [ "$(ask "$sleeps")" = 1 ]; do :; done
	kill -INT $!
	wait $!
}

play() {
	case $1 in
	login) ask "SELECT session_user" ;;
	refresh)
		token="SELECT azure_ad_auth.session_claims() ->> 'uti'"
		one=$(ask "$token") && file=$2 && echo "$one $(ask "$token")"
		;;
	cancel)
		said=$(cancel 2>&1)
		case $said in *"canceling statement due to user request"*) echo "canceled $PGUSER" ;; *) echo "$said" ;; esac
		;;
	esac
}

while IFS="$(printf '\t')" read -r scenario role file next; do
	export PGUSER="$role"
	if said=$(play "$scenario" "$next" 2>"$file.errors"); then
		printf 'ok\t%s\n' "$said"
	else
		printf 'error\t%s\n' "$(echo "$said" | cat - "$file.errors" | grep -v '^\[lib' | tr -s '\n\t ' ' ')"
	fi
done
