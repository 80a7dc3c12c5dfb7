package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestE2ENotice expects a signed notice about a key that expires within a day.
func TestE2ENotice(t *testing.T) {
	t.Parallel()
	type message struct {
		header http.Header
		body   string
	}
	got := make(chan message, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- message{r.Header, string(body)}
	}))
	defer receiver.Close()
	secret := []byte("0123456789abcdef0123456789abcdef")
	file := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(file, []byte("whsec_"+base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600))
	s := startServer(t, "--webhook-secret-file", file)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	check(t, admin.call(http.MethodPatch, "/v1/workspaces/acme", map[string]any{
		"policy": map[string]any{"webhook": receiver.URL + "/hook"},
	}, nil))
	k := admin.mustIssue(t, "acme", "expires_in", 86415) // so that the server ends before the notice is due
	s.stop()
	eventually(t, "the key has less than a day", func() bool { return time.Until(*k.ExpiresAt) < 24*time.Hour-time.Second })
	s.start()
	var m message
	select {
	case m = <-got:
	case <-time.After(patience):
		t.Fatal("nothing was posted")
	}
	says(t, m.body, `"type":"key.expiring"`, `"workspace":"acme"`, k.ID, `"days":1`)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(m.header.Get("webhook-id") + "." + m.header.Get("webhook-timestamp") + "." + m.body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); m.header.Get("webhook-signature") != want {
		t.Errorf("its signature is %s, want %s", m.header.Get("webhook-signature"), want)
	}
	eventually(t, "it is in the audit", func() bool {
		var entries json.RawMessage
		check(t, admin.call(http.MethodGet, "/v1/workspaces/acme/audit?action=key.notice", nil, &entries))
		return strings.Contains(string(entries), k.ID)
	})
	eventually(t, "the metric counts it once", func() bool { // it does so after the audit
		n, ok := s.metric(`burnkey_notices_total{result="sent"}`)
		return ok && n == 1
	})
	if strings.Contains(s.log(), strings.TrimPrefix(receiver.URL, "http://")) {
		t.Error("the receiver is in the log")
	}
	check(t, os.Chmod(file, 0o644))
	s.stop()
	command{args: s.flags}.run(t).fails(t, "--webhook-secret-file", "0644")
}
