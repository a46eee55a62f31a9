#!/bin/sh
# The same as scenario.py, for psql.
while IFS="$(printf '\t')" read -r role file; do
	# shown: psql
	if said=$(PGUSER=$role PGPASSWORD=$(cat "$file") psql -X -w -A -t -c "SELECT session_user" 2>&1); then
		# end
		printf 'ok\t%s\n' "$said"
	else
		printf 'error\t%s\n' "$(echo "$said" | tr -s '\n\t ' ' ')"
	fi
done
