package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/burnkey/burnkey/client"
)

// kongKey is a credential of Kong's plugin key-auth.
type kongKey struct {
	Key      string   `yaml:"key"`
	TTL      int64    `yaml:"ttl"` // seconds that are left
	Tags     []string `yaml:"tags"`
	Consumer kongRef  `yaml:"consumer"` // in the Admin API an object with the id, in a declarative file also a name
}

type kongRef struct{ ID, Username, CustomID string }

// UnmarshalYAML reads a name or an object.
func (c *kongRef) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&c.Username)
	}
	var object struct {
		ID       string `yaml:"id"`
		Username string `yaml:"username"`
		CustomID string `yaml:"custom_id"`
	}
	err := node.Decode(&object)
	*c = kongRef(object)
	return err
}

type kongConsumer struct {
	ID       string    `yaml:"id"`
	Username string    `yaml:"username"`
	CustomID string    `yaml:"custom_id"`
	Keys     []kongKey `yaml:"keyauth_credentials"`
	ACLs     []struct {
		Group string `yaml:"group"`
	} `yaml:"acls"`
	Groups []struct {
		Name string `yaml:"name"`
	} `yaml:"groups"`
}

// kong reads a dump by deck, a declarative file, or answers of the Admin API to /key-auths and /consumers, one after another.
func (r *importReader) kong(text []byte) (lines []importLine, err error) {
	type credential struct {
		key *kongKey
		of  kongConsumer
	}
	var all []credential
	consumers := map[string]kongConsumer{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var in struct {
			Consumers []kongConsumer `yaml:"consumers"`
			Keys      []kongKey      `yaml:"keyauth_credentials"`
			Data      []yaml.Node    `yaml:"data"`
		}
		if err := decoder.Decode(&in); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, yamlFault(err, "Kong")
		}
		for i := range in.Data {
			var key kongKey
			var consumer kongConsumer
			if in.Data[i].Decode(&key) == nil && key.Key != "" {
				in.Keys = append(in.Keys, key)
			} else if in.Data[i].Decode(&consumer) == nil {
				in.Consumers = append(in.Consumers, consumer)
			}
		}
		for _, c := range in.Consumers {
			consumers[firstOf(c.ID, c.Username)], consumers[c.Username] = c, c
			for i := range c.Keys {
				all = append(all, credential{&c.Keys[i], c})
			}
		}
		for i := range in.Keys {
			ref := in.Keys[i].Consumer
			all = append(all, credential{&in.Keys[i], kongConsumer{ID: ref.ID, Username: ref.Username, CustomID: ref.CustomID}})
		}
	}
	for i, c := range all {
		if known, ok := consumers[firstOf(c.of.ID, c.of.Username)]; ok {
			c.of = known
		}
		lines = append(lines, r.kongLine(i, c.key, &c.of))
	}
	return lines, nil
}

func (r *importReader) kongLine(i int, k *kongKey, c *kongConsumer) importLine {
	l := importLine{place: fmt.Sprintf("key %d", i+1), key: client.ImportKey{
		Owner: firstOf(c.CustomID, c.Username, c.ID), Name: firstOf(c.Username, c.ID),
	}}
	var groups []string
	for _, acl := range c.ACLs {
		groups = append(groups, acl.Group)
	}
	for _, group := range c.Groups {
		groups = append(groups, group.Name)
	}
	l.metadata(map[string][]string{"kong_groups": groups, "kong_tags": k.Tags})
	if k.TTL > 0 {
		l.key.ExpiresAt = r.now.Add(time.Duration(k.TTL) * time.Second).UTC().Truncate(time.Second)
	}
	r.secret(&l, k.Key)
	return r.finish(&l)
}

// metadata stores lists that are not empty.
func (l *importLine) metadata(lists map[string][]string) {
	maps.DeleteFunc(lists, func(_ string, list []string) bool { return len(list) == 0 })
	if len(lists) > 0 {
		l.key.Metadata, _ = json.Marshal(lists) // strings
	}
}

var yamlLine = regexp.MustCompile(`line [0-9]+`)

// yamlFault returns an error with only the line of err, since the text of err can quote a key.
func yamlFault(err error, of string) error {
	if at := yamlLine.FindString(err.Error()); at != "" {
		return fmt.Errorf("%s: not YAML or JSON of %s", at, of)
	}
	return errors.New("not YAML or JSON of " + of)
}

// secretObject is a Kubernetes Secret, or a list of them.
type secretObject struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Namespace   string            `yaml:"namespace"`
		Name        string            `yaml:"name"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Data       map[string]string `yaml:"data"`
	StringData map[string]string `yaml:"stringData"`
	Items      []secretObject    `yaml:"items"`
}

// secrets returns the Secrets of all documents in YAML or JSON. Other objects are left out.
func secretsIn(text []byte) (all []secretObject, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var in secretObject
		if err := decoder.Decode(&in); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, yamlFault(err, "Kubernetes objects")
		}
		for _, object := range append([]secretObject{in}, in.Items...) {
			if object.Kind == "Secret" {
				all = append(all, object)
			}
		}
	}
}

// values returns the Secret's entries in order; err says that a value is invalid.
func (s *secretObject) each(yield func(name, value string, err error)) {
	for _, name := range slices.Sorted(maps.Keys(s.Data)) {
		if _, replaced := s.StringData[name]; !replaced {
			value, err := fromBase64(s.Data[name])
			yield(name, strings.TrimRight(value, "\r\n"), err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.StringData)) {
		yield(name, strings.TrimRight(s.StringData[name], "\r\n"), nil)
	}
}

func (s *secretObject) place() string {
	return strings.TrimPrefix(s.Metadata.Namespace+"/"+s.Metadata.Name, "/")
}

// envoyGateway reads Secrets of the API key authentication of Envoy Gateway: each entry is a client and its key.
func (r *importReader) envoyGateway(text []byte) (lines []importLine, err error) {
	secrets, err := secretsIn(text)
	for i := range secrets {
		s := &secrets[i]
		s.each(func(name, value string, err error) {
			l := importLine{place: s.place() + ": " + name, key: client.ImportKey{Owner: name, Name: s.Metadata.Name}}
			if r.secret(&l, value); err != nil {
				l.err = errors.New("the value is not base64")
			}
			lines = append(lines, r.finish(&l))
		})
	}
	return lines, err
}

// Annotations of Kuadrant's Secrets.
const (
	kuadrantUser = "secret.kuadrant.io/user-id"
	kuadrantPlan = "secret.kuadrant.io/plan-id"
)

// kuadrant reads Secrets of Kuadrant (Authorino), each of which has one key in its entry api_key.
func (r *importReader) kuadrant(text []byte) (lines []importLine, err error) {
	secrets, err := secretsIn(text)
	for i := range secrets {
		s := &secrets[i]
		about := s.Metadata.Annotations
		l := importLine{place: s.place(), err: errors.New("the Secret has no entry api_key"), key: client.ImportKey{
			Owner: firstOf(about[kuadrantUser], s.Metadata.Labels[kuadrantUser], s.Metadata.Name), Name: s.Metadata.Name,
			Plan: firstOf(about[kuadrantPlan], s.Metadata.Labels[kuadrantPlan]),
		}}
		s.each(func(name, value string, err error) {
			if name != "api_key" {
				return
			}
			l.err = nil
			if r.secret(&l, value); err != nil {
				l.err = errors.New("the value of api_key is not base64")
			}
		})
		lines = append(lines, r.finish(&l))
	}
	return lines, err
}
