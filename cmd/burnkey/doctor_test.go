package main

import (
	"errors"
	"strings"
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

func TestDoctorChecksAddresses(t *testing.T) {
	for _, test := range []struct {
		o    doctor.Options
		flag string
	}{
		{doctor.Options{Server: "http://127.0.0.1:8080/", PublicURL: "https://keys.example.com/x"}, ""},
		{doctor.Options{Gateway: "127.0.0.1:9091", Envoy: "[::1]:9901"}, ""},
		{doctor.Options{Gateway: "http://gw:9091"}, ""},
		{doctor.Options{Server: "127.0.0.1:8080"}, "--server: "},
		{doctor.Options{Server: "http://127.0.0.1:8080?x=1"}, "--server: "},
		{doctor.Options{Server: "http://127.0.0.1:8080#x"}, "--server: "},
		{doctor.Options{Server: "http://"}, "--server: "},
		{doctor.Options{PublicURL: "keys.example.com"}, "--public-url: "},
		{doctor.Options{PublicURL: "https://keys.example.com?x"}, "--public-url: "},
		{doctor.Options{Gateway: "[::1"}, "--gateway: "},
		{doctor.Options{Gateway: "127.0.0.1:9091?x"}, "--gateway: "},
		{doctor.Options{Envoy: "[::1"}, "--envoy-admin: "},
	} {
		err := checkTargets(test.o)
		if (err == nil) != (test.flag == "") || err != nil && !strings.HasPrefix(err.Error(), test.flag) {
			t.Errorf("%+v: %v", test.o, err)
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
