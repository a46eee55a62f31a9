#!/bin/sh
# The same as scenario.py, for psql.
log_in() {
	export PGUSER="$1"
	# shown: psql
	PGPASSWORD=$(cat "$2") psql -X -w -A -t -c "SELECT session_user"
	# end
}
while IFS="$(printf '\t')" read -r role file; do
	if said=$(log_in "$role" "$file" 2>&1); then
		printf 'ok\t%s\n' "$said"
	else
		printf 'error\t%s\n' "$(echo "$said" | tr -s '\n\t ' ' ')"
	fi
done
