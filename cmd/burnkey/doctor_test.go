package main

import (
	"errors"
	"testing"

	"github.com/burnkey/burnkey/doctor"
)

func TestDoctorAcceptsDatabasesByURLOnly(t *testing.T) {
	for database, accepted := range map[string]bool{
		"sqlite:burnkey.db": true, "postgres://u:hidden@db/x": true, "postgresql://db": true,
		"postgres:host=127.0.0.1 password=hidden port=1": false, "postgres:/u:hidden@db/x": false, "sqlite:": false, "burnkey.db": false,
	} {
		var o doctor.Options
		if err := withDatabase(&o, database); accepted != (err == nil) || !accepted && !errors.Is(err, errDatabaseURL) {
			t.Errorf("%s: %v", database, err)
		}
	}
}

func TestDatabaseName(t *testing.T) {
	for database, want := range map[string]string{
		"sqlite:burnkey.db":                              "sqlite:burnkey.db",
		"sqlite:/var/100%.db":                            "sqlite:/var/100%.db",
		"postgres://u:hidden@db:1/x?password=hidden":     "postgres://u:xxxxx@db:1/x",
		"postgres:///x?host=/run&password=hidden":        "postgres:///x",
		"postgres:///u:hidden@db/x?host=/run":            "(invalid URL)",
		"postgres:///u:hidden@db/x":                      "(invalid URL)",
		"postgres://u:hidden@db:port/x":                  "(invalid URL)",
		"postgres:host=127.0.0.1 password=hidden port=1": "(invalid URL)",
	} {
		if got := databaseName(database); got != want {
			t.Errorf("%s: %s, want %s", database, got, want)
		}
	}
}
