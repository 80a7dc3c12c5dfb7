package api_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	plansPath  = "/v1/workspaces/acme/plans"
	limitsPath = "/v1/workspaces/acme/limits"
	burstRules = `[{"name":"burst","requests":100,"seconds":60}]`
)

func TestPlansOverHTTP(t *testing.T) {
	s := newServer(t)
	created := s.do("POST", plansPath, `{"name":"gold","description":"For friends","limits":`+burstRules+`,"signed":"burst"}`).want(201)
	if created.header.Get("Location") != plansPath+"/gold" {
		t.Errorf("Location: %s", created.header.Get("Location"))
	}
	gold := created.object()
	wantSubset(t, gold, `{"name":"gold","description":"For friends","limits":`+burstRules+`,"signed":"burst"}`)
	again := s.do("POST", plansPath, `{"name":"gold"}`).want(409)
	if p := again.problem(); p.Code != "plan_exists" {
		t.Errorf("again: %s", again.body)
	}
	s.do("POST", plansPath, `{"name":"bronze"}`).want(201)
	s.do("POST", plansPath, `{"name":"silver"}`).want(201)
	var names []string
	for query := "?limit=2"; query != ""; {
		page := s.do("GET", plansPath+query, nil).want(200).object()
		for _, p := range page["plans"].([]any) {
			names = append(names, p.(map[string]any)["name"].(string))
		}
		query = ""
		if next, more := page["next_cursor"].(string); more {
			query = "?limit=2&cursor=" + next
		}
	}
	if got := strings.Join(names, " "); got != "bronze gold silver" {
		t.Errorf("listed %s", got)
	}
	key := s.do("POST", keysPath, `{"owner":"x","plan":"gold"}`).want(201).object()
	wantSubset(t, s.do("GET", plansPath+"/gold", nil).want(200).object(), `{"name":"gold","description":"For friends"}`)

	for _, c := range []struct{ patch, want string }{
		{`{"limits":[{"name":"burst","requests":200,"seconds":60},{"name":"m","requests":1,"calendar":"month"}]}`, `{"description":"For friends",
			"signed":"burst","limits":[{"name":"burst","requests":200,"seconds":60},{"name":"m","requests":1,"calendar":"month"}]}`},
		{`{"limits":[{"name":"m","requests":2,"calendar":"month"}],"signed":null}`, `{"limits":[{"name":"m","requests":2,"calendar":"month"}]}`},
		{`{"description":null,"limits":null}`, `{"description":"","limits":[]}`},
		{`{}`, `{"description":"","limits":[]}`},
	} {
		wantSubset(t, s.do("PATCH", plansPath+"/gold", c.patch).want(200).object(), c.want)
	}
	a := s.do("DELETE", plansPath+"/gold", nil).want(409)
	if p := a.problem(); p.Code != "plan_in_use" {
		t.Errorf("deleted in use: %s", a.body)
	}
	s.do("DELETE", keysPath+"/"+key["id"].(string), nil).want(200)
	if a := s.do("DELETE", plansPath+"/gold", nil).want(204); len(a.body) > 0 {
		t.Errorf("deleted: %s", a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		s.do(method, plansPath+"/gold", nil).want(404)
		s.do(method, plansPath+"/BAD!", nil).want(404)
	}
	s.do("PATCH", plansPath+"/gold", `{}`).want(404)
	s.do("POST", plansPath, `{"name":"gold"}`).want(201)
}

func TestSharedLimitsOverHTTP(t *testing.T) {
	s := newServer(t)
	body := `{"description":"d","limits":` + burstRules + `}`
	for _, c := range []struct{ path, shown string }{
		{"/total", `{"on":"total"}`},
		{"/address", `{"on":"address"}`},
		{"/route?name=search", `{"on":"route","name":"search"}`},
		{"/owner?name=*", `{"on":"owner","name":"*"}`},
		{"/owner?name=cust%2F1+%C3%A9", `{"on":"owner","name":"cust/1 é"}`},
	} {
		s.do("GET", limitsPath+c.path, nil).want(404)
		s.do("DELETE", limitsPath+c.path, nil).want(404)
		wantSubset(t, s.do("PUT", limitsPath+c.path, body).want(201).object(), c.shown)
		shown := s.do("PUT", limitsPath+c.path, `{"limits":[{"name":"m","requests":2,"calendar":"month"}]}`).want(200).object()
		wantSubset(t, shown, `{"description":"","limits":[{"name":"m","requests":2,"calendar":"month"}]}`)
		wantSubset(t, s.do("GET", limitsPath+c.path, nil).want(200).object(), c.shown)
	}
	var listed []string
	for query := "?limit=2"; query != ""; {
		page := s.do("GET", limitsPath+query, nil).want(200).object()
		for _, l := range page["limits"].([]any) {
			listed = append(listed, fmt.Sprint(l.(map[string]any)["on"], " ", l.(map[string]any)["name"]))
		}
		query = ""
		if next, more := page["next_cursor"].(string); more {
			query = "?limit=2&cursor=" + next
		}
	}
	if got := strings.Join(listed, ", "); got != "owner *, owner cust/1 é, route search, address <nil>, total <nil>" {
		t.Errorf("listed %s", got)
	}
	s.do("DELETE", limitsPath+"/total", nil).want(204)
	s.do("GET", limitsPath+"/total", nil).want(404)
}

// The last page of the longest name that limits can have leads on.
func TestCursorOfALongOwner(t *testing.T) {
	s := newServer(t)
	s.do("PUT", limitsPath+"/total", `{"limits":`+burstRules+`}`).want(201)
	s.do("PUT", limitsPath+"/owner?name="+strings.Repeat("%F0%9F%97%9D", 255), `{"limits":`+burstRules+`}`).want(201)
	for next, want := "", "owner"; want != ""; {
		page := s.do("GET", limitsPath+"?limit=1"+next, nil).want(200).object()
		if list := page["limits"].([]any); len(list) == 1 {
			wantSubset(t, list[0].(map[string]any), `{"on":"`+want+`"}`)
			want = map[string]string{"owner": "total"}[want]
		}
		cursor, _ := page["next_cursor"].(string)
		next = "&cursor=" + cursor
	}
}

func TestBadLimits(t *testing.T) {
	s := newServer(t)
	s.do("POST", plansPath, `{"name":"gold","limits":`+burstRules+`}`).want(201)
	before := s.state()
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", plansPath, `{}`, "name"},
		{"POST", plansPath, `{"name":"Gold"}`, "name"},
		{"POST", plansPath, `{"name":null}`, "name"},
		{"POST", plansPath, `{"name":"a","x":"` + marker + `"}`, "x"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":1}]}`, "limits[0]"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":1,"seconds":1,"calendar":"day"}]}`, "limits[0]"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":1.5,"seconds":1}]}`, "limits[0].requests"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":4294967297,"seconds":1}]}`, "limits[0].requests"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":1,"seconds":-1}]}`, "limits[0].seconds"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":1,"calendar":"year"}]}`, "limits[0].calendar"},
		{"POST", plansPath, `{"name":"a","limits":[{"name":"b","requests":1,"seconds":1,"x":1}]}`, "limits[0].x"},
		{"POST", plansPath, `{"name":"a","signed":"none"}`, "signed"},
		{"PATCH", plansPath + "/gold", `{"signed":"none"}`, "signed"},
		{"PATCH", plansPath + "/gold", `{"name":"b"}`, "name"},
		{"PATCH", plansPath + "/gold", `{"limits":[{}]}`, "limits[0].name"},
		{"PUT", limitsPath + "/total", `{"limits":[]}`, "limits"},
		{"PUT", limitsPath + "/total", `{}`, "limits"},
		{"PUT", limitsPath + "/total?name=x", `{"limits":` + burstRules + `}`, "name"},
		{"PUT", limitsPath + "/owner", `{"limits":` + burstRules + `}`, "name"},
		{"PUT", limitsPath + "/owner?name=%20x", `{"limits":` + burstRules + `}`, "name"},
		{"PUT", limitsPath + "/route?name=*", `{"limits":` + burstRules + `}`, "name"},
		{"PUT", limitsPath + "/plan?name=gold", `{"limits":` + burstRules + `}`, "on"},
		{"PUT", limitsPath + "/total", `{"limits":` + burstRules + `,"signed":"burst"}`, "signed"},
		{"GET", limitsPath + "?cursor=eA", ``, "cursor"},
		{"GET", plansPath + "?cursor=KkE", ``, "cursor"},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		a := s.do(c.method, c.path, body).want(422)
		if p := a.problem(); len(p.Errors) == 0 || p.Errors[0].Field != c.field {
			t.Errorf("%s %s %s: %s, want %s at fault", c.method, c.path, c.body, a.body, c.field)
		}
	}
	s.do("PUT", limitsPath+"/total", `{"limits":[],"x":"`+strings.Repeat("x", 64<<10)+`"}`).want(413)
	s.do("POST", "/v1/workspaces/burnkey/plans", `{"name":"a"}`).want(422)
	if s.state() != before || strings.Contains(s.log.String(), marker) {
		t.Error("a refused call left a trace")
	}
}

// No plan and no limit is seen or changed from another workspace.
func TestLimitsOfAnotherWorkspace(t *testing.T) {
	s := newServer(t)
	s.do("POST", plansPath, `{"name":"gold","limits":`+burstRules+`}`).want(201)
	s.do("PUT", limitsPath+"/owner?name=x", `{"limits":`+burstRules+`}`).want(201)
	tied := as(s.manager("other", "admin"))
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/plans", `{"name":"tin"}`},
		{"GET", "/plans", ``},
		{"GET", "/plans/gold", ``},
		{"PATCH", "/plans/gold", `{"limits":[]}`},
		{"DELETE", "/plans/gold", ``},
		{"GET", "/limits", ``},
		{"GET", "/limits/owner?name=x", ``},
		{"DELETE", "/limits/owner?name=x", ``},
		{"PUT", "/limits/owner?name=x", `{"limits":[{"name":"a","requests":1,"seconds":1}]}`},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		s.do(c.method, "/v1/workspaces/acme"+c.path, body, tied).want(403)
		if c.method == "GET" || c.method == "DELETE" || c.method == "PATCH" {
			a := s.do(c.method, "/v1/workspaces/other"+c.path, body, tied)
			if strings.Contains(string(a.body), "burst") || a.status != 404 && a.status != 200 {
				t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
			}
		}
	}
	wantSubset(t, s.do("GET", plansPath+"/gold", nil).want(200).object(), `{"limits":`+burstRules+`}`)
	wantSubset(t, s.do("GET", limitsPath+"/owner?name=x", nil).want(200).object(), `{"limits":`+burstRules+`}`)
}
