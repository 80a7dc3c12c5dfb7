package jwks

import (
	"bytes"
	"encoding/hex"
	jsonv1 "encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/go-json-experiment/json"
)

// Every way of printing a Token redacts it.
func TestTokenIsHidden(t *testing.T) {
	const secret = "eyJhbGciOiJSUzI1NiJ9.secret.signature"
	token := Token(secret)
	if token.Reveal() != secret {
		t.Fatalf("Reveal = %s", token.Reveal())
	}
	type record struct {
		Token Token
		Ptr   *Token
		List  []Token
		Map   map[string]Token
		Any   any
	}
	whole := record{token, &token, []Token{token}, map[string]Token{"t": token}, token}
	shown := map[string]string{}
	// All verbs except %p and %w: for these fmt does not call Format, and go vet reports them.
	for _, verb := range strings.Fields("%v %s %+v %#v %q %#q %x %X %d %o %b %c %U %e %t %5.3s %-50s %z %!") {
		for name, value := range map[string]any{
			"token": token, "pointer": &token, "record": whole, "pointer to a record": &whole, "list": whole.List,
			"map": whole.Map, "array": [1]Token{token}, "interface": []any{token},
		} {
			shown[verb+" "+name] = fmt.Sprintf(verb, value)
		}
	}
	shown["too many"] = fmt.Sprintf("%v", []any{1, token}...)
	shown["print"] = fmt.Sprint(token, whole, &whole)
	shown["string"] = token.String()
	shown["error"] = fmt.Errorf("issue: %v, %s, %q: %w", token, token, token, errors.New("failed")).Error()
	shown["panic"] = func() (text string) {
		defer func() { text = fmt.Sprint(recover()) }()
		panic(token)
	}()

	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		logger := slog.New(handler).With("with", token).WithGroup("group")
		logger.Info("issued", "token", token, "pointer", &token, "record", whole, slog.Any("any", whole.List))
		logger.Info(fmt.Sprint(token), slog.Group("inner", "token", token))
	}
	shown["slog"] = log.String()

	for name, marshal := range map[string]func() ([]byte, error){
		"encoding/json":         func() ([]byte, error) { return jsonv1.Marshal(whole) },
		"encoding/json, indent": func() ([]byte, error) { return jsonv1.MarshalIndent(&whole, "", " ") },
		"go-json-experiment":    func() ([]byte, error) { return json.Marshal(whole) },
		"map key":               func() ([]byte, error) { return json.Marshal(map[Token]int{token: 1}) },
		"encoding/xml": func() ([]byte, error) {
			return xml.Marshal(struct {
				XMLName xml.Name `xml:"r"`
				Token   Token
			}{Token: token})
		},
	} {
		out, err := marshal()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown[name] = string(out)
	}
	var page bytes.Buffer
	if err := template.Must(template.New("").Parse(`{{.}}{{.Token}}{{printf "%d" .Token}}`)).Execute(&page, whole); err != nil {
		t.Fatal(err)
	}
	shown["template"] = page.String()

	for name, text := range shown {
		lower := strings.ToLower(text)
		for _, part := range []string{secret, "secret", "signature", hex.EncodeToString([]byte("secret"))} {
			if strings.Contains(lower, strings.ToLower(part)) {
				t.Errorf("%s shows %s", name, text)
			}
		}
		if text == "" {
			t.Errorf("%s shows nothing at all", name)
		}
	}
}
