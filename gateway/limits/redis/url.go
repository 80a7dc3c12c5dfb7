package redis

import (
	"errors"
	"net/url"

	goredis "github.com/redis/go-redis/v9"
)

// errURL says the form of a URL alone, since the errors of its parsers quote parts of it, and so of the password.
var errURL = errors.New("must be redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss://… for TLS, " +
	"with reserved characters of the password percent-encoded")

// CheckURL checks the form of a URL. Its error contains no part of the URL.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*goredis.Options, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errURL
	}
	o, err := goredis.ParseURL(text)
	if err != nil {
		return nil, errURL
	}
	return o, nil
}
