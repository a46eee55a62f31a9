// The same as scenario.py, for Go's pgx.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	asked  = "SELECT azure_ad_auth.session_claims() ->> 'uti'"
	sleep  = "SELECT pg_sleep(600)"
	sleeps = "SELECT count(*)::text FROM pg_stat_activity WHERE query = '" + sleep + "' AND state = 'active'"
)

func ask(connection *pgxpool.Conn, query string) (said string, err error) {
	err = connection.QueryRow(context.Background(), query).Scan(&said)
	return
}

func open(role string, token func() (string, error)) (*pgxpool.Pool, error) {
	// shown: pgx
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.BeforeConnect = func(_ context.Context, each *pgx.ConnConfig) error {
		each.User = role
		each.Password, err = token()
		return err
	}
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	// end
	return pool, err
}

// cancel ends a statement by its context. pgx closes the connection then, and asks the server to stop.
func cancel(pool *pgxpool.Pool, one, other *pgxpool.Conn) (string, error) {
	statement, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := one.Exec(statement, sleep)
		ended <- err
	}()
	for said := "0"; said == "0"; {
		var err error
		if said, err = ask(other, sleeps); err != nil {
			return "", err
		}
	}
	stop()
	if err := <-ended; err == nil {
		return "it slept", nil
	}
	one.Release()
	next, err := pool.Acquire(context.Background())
	if err != nil {
		return "", err
	}
	defer next.Release()
	user, err := ask(next, "SELECT session_user::text")
	return "canceled " + user, err
}

func play(name, role string, files []string) (string, error) {
	pool, err := open(role, func() (string, error) {
		token, err := os.ReadFile(files[0])
		return string(token), err
	})
	if err != nil {
		return "", err
	}
	defer pool.Close()
	one, err := pool.Acquire(context.Background())
	if err != nil {
		return "", err
	}
	defer one.Release()
	if name == "login" {
		return ask(one, "SELECT session_user::text")
	}
	if name == "refresh" {
		files = files[1:]
	}
	other, err := pool.Acquire(context.Background())
	if err != nil {
		return "", err
	}
	defer other.Release()
	if name == "cancel" {
		return cancel(pool, one, other)
	}
	first, err := ask(one, asked)
	if err != nil {
		return "", err
	}
	second, err := ask(other, asked)
	return first + " " + second, err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), "\t")
		if said, err := play(parts[0], parts[1], parts[2:]); err != nil {
			fmt.Printf("error\t%s\n", strings.Join(strings.Fields(err.Error()), " "))
		} else {
			fmt.Printf("ok\t%s\n", said)
		}
	}
}
