package httpauth

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
)

// askGRPC returns the answer that Envoy gets, in the form of the answer over HTTP.
func (d *door) askGRPC(tb testing.TB, requirements map[string]string, authorization ...string) answer {
	tb.Helper()
	headers := map[string]string{}
	if len(authorization) > 0 {
		headers["authorization"] = strings.Join(authorization, ",") // as Envoy does
	}
	response, err := d.grpc.Check(tb.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: requirements,
		Request: &authv3.AttributeContext_Request{
			Http: &authv3.AttributeContext_HttpRequest{Method: http.MethodGet, Headers: headers},
		},
	}})
	check(tb, err)
	a := answer{http.StatusOK, http.Header{}, ""}
	options := slices.Concat(response.GetOkResponse().GetHeaders(), response.GetOkResponse().GetResponseHeadersToAdd())
	if denied := response.GetDeniedResponse(); denied != nil {
		a.status, a.body, options = int(denied.GetStatus().GetCode()), denied.GetBody(), denied.GetHeaders()
	}
	for _, option := range options {
		a.headers.Add(option.GetHeader().GetKey(), option.GetHeader().GetValue())
	}
	return a
}

// same compares the answers of both doors, and those to nginx.
func (d *door) same(t *testing.T, name string, requirements map[string]string, authorization ...string) answer {
	t.Helper()
	query := url.Values{}
	for name, value := range requirements {
		query.Set(name, value)
	}
	want := d.askGRPC(t, requirements, authorization...)
	got := d.ask(t, http.MethodPost, PathCheck+"?"+query.Encode(), bearer(authorization...)...)
	for _, own := range []string{"Content-Length", "Date"} {
		got.headers.Del(own)
	}
	if got.status != want.status || got.body != want.body || !maps.EqualFunc(got.headers, want.headers, slices.Equal) {
		t.Errorf("%s: %v\nthe other door: %v", name, got, want)
	}
	nginx := d.ask(t, http.MethodGet, PathNginx+"?"+query.Encode(), bearer(authorization...)...)
	if want.status == http.StatusOK {
		if nginx.status != want.status || nginx.headers.Get("X-Burnkey-Owner") != want.headers.Get("X-Burnkey-Owner") {
			t.Errorf("%s: nginx gets %v", name, nginx)
		}
		return got
	}
	coarse := http.StatusForbidden
	if want.status == http.StatusUnauthorized {
		coarse = want.status
	}
	if nginx.status != coarse || nginx.body != "" || nginx.headers.Get(headerStatus) != strconv.Itoa(want.status) ||
		nginx.headers.Get(headerProblem) != want.body || nginx.headers.Get("Www-Authenticate") != want.headers.Get("Www-Authenticate") {
		t.Errorf("%s: nginx gets %v", name, nginx)
	}
	return got
}

// Both doors give the same answers to every attack, and for every route.
func TestDoorsAgree(t *testing.T) {
	d := open(t, nil)
	for _, attack := range gatewaytest.Attacks() {
		if a := d.same(t, attack.Name, nil, attack.Authorization...); a.status != attack.Status {
			t.Errorf("%s: %d", attack.Name, a.status)
		}
	}
	good := own().Bearer("acme")
	for _, route := range gatewaytest.Routes() {
		if a := d.same(t, fmt.Sprint(route.Requirements), route.Requirements, good); a.status != route.Status {
			t.Errorf("%v: %d", route.Requirements, a.status)
		}
		d.same(t, "no token", route.Requirements)
	}
	foreign := "Bearer " + own().Token(payload("acme", "cust_1", "Ærøskøbing 北京"))
	if a := d.same(t, "an owner in another script", nil, foreign); a.headers.Get("X-Burnkey-Owner") != "Ærøskøbing 北京" {
		t.Errorf("%v", a)
	}
}
