package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// issuer is a running server that issues access tokens for credentials of clients.
type issuer struct {
	*process
	name  string
	addr  string
	path  string
	forms []url.Values // sent in turn
}

// orStop waits until the server issues an access token, and stops it after an error.
func (i *issuer) orStop(ctx context.Context, err error) (*issuer, error) {
	if err == nil {
		err = i.until(ctx, 2*time.Minute, "it issued an access token", func() bool {
			return answers(i.addr, post(i.addr, i.path, i.forms[0]), http.StatusOK)
		})
	}
	if err == nil {
		err = i.checkToken()
	}
	if err != nil {
		i.stop()
		return nil, err
	}
	return i, nil
}

// checkToken returns an error unless the server issues a JWT signed with RS256 by a key of jwks.ModulusBits.
func (i *issuer) checkToken() error {
	response, err := http.PostForm("http://"+i.addr+i.path, i.forms[0])
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
		Life  int    `json:"expires_in"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	var head struct{ Alg string }
	parts := strings.Split(answer.Token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("the access token of %s is not a JWT", i.name)
	}
	text, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	if err := errors.Join(err1, err2, json.Unmarshal(text, &head)); err != nil {
		return err
	}
	if head.Alg != "RS256" || len(signature) != jwks.ModulusBits/8 || answer.Life < 299 || answer.Life > 300 {
		return fmt.Errorf("%s issued a token of %s, %d bits and %d s", i.name, head.Alg, 8*len(signature), answer.Life)
	}
	return nil
}

func (i *issuer) load(during time.Duration) load {
	l := load{addr: i.addr, connections: exchangeCallers, duration: during, want: http.StatusOK}
	for _, form := range i.forms {
		l.requests = append(l.requests, post(i.addr, i.path, form))
	}
	return l
}

// measure adds one round to the result.
func (i *issuer) measure(ctx context.Context, during time.Duration, to *issuerResult) error {
	before, err1 := i.family()
	others, err2 := i.others()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	round, err := i.load(during).run(ctx)
	if err != nil {
		return err
	}
	after, err1 := i.family()
	othersAfter, err2 := i.others()
	to.rounds = append(to.rounds, round)
	to.cpu += after.cpu - before.cpu
	to.others += othersAfter - others
	to.resident = after.resident
	return errors.Join(err1, err2)
}

// others returns the processor time of all processes except the issuer's and this one.
func (i *issuer) others() (time.Duration, error) {
	stat, err1 := os.ReadFile("/proc/stat")
	server, err2 := i.family()
	own, err3 := usageOf(os.Getpid())
	var ticks int64
	for n, text := range strings.Fields(field(stat, "cpu ")) { // user, nice, system, idle, iowait, irq, softirq, steal
		if value, err := strconv.ParseInt(text, 10, 64); err == nil && n < 8 && n != 3 && n != 4 {
			ticks += value
		}
	}
	return time.Duration(ticks)*clockTick - server.cpu - own.cpu, errors.Join(err1, err2, err3)
}

// family returns the usage of the process and its children.
func (p *process) family() (sum usage, err error) {
	pids := []int{p.cmd.Process.Pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	if err != nil {
		return sum, err
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	for _, pid := range pids {
		u, err := usageOf(pid)
		if err != nil {
			return sum, err
		}
		sum.cpu += u.cpu
		sum.resident += u.resident
	}
	return sum, nil
}

// post returns a POST request with a form.
func post(addr, path string, form url.Values) []byte {
	body := form.Encode()
	return []byte(strings.Join([]string{
		"POST " + path + " HTTP/1.1", "Host: " + addr, "Content-Type: application/x-www-form-urlencoded",
		fmt.Sprint("Content-Length: ", len(body)), "", body,
	}, "\r\n"))
}
