package main

import (
	"regexp"
	"strings"
)

// A rule finds words that are not plain English. A space in a pattern matches any white space. Upper case
// matters only at the start of sentences. bad is an example that the rule must find, good an example that it
// must not.
type rule struct {
	pattern   string
	unless    string // finds nothing if this matches the rest of the sentence
	better    string
	bad, good string
}

// start is the beginning of a sentence.
const start = `(?:^|[.!?] )`

var rules = []rule{
	{
		`(?:\b(?:left|leaves?|leaving) (?:[\w%]+ ){0,3})?\bbehind\b`,
		`(?i)^le|^behind (?:[\w'’-]+ ){0,3}(?:envoy|gateways?|prox(?:y|ies)|balancers?|NAT|firewall|nginx|haproxy|espv2|CDN|scenes)\b`,
		`"after" for order; "older than" or "lags" for versions`, "Nothing is read behind the last row.",
		"A server behind a proxy trusts its header.",
	},
	{`\b(?:tell|tells|told|telling)(?: [\w'’-]+)? of\b`, "", `"report", "log", "notify"`, "The log tells of it.", "The log reports it."},
	{`(?:\busage-)?\buntold\b`, `^usage-`, `"unreported"`, "The use of a key is untold.", "Unreported uses are kept."},
	{
		`(?:\w+ )?\b(?:is|are|was|were|be) none\b`, `(?i)^there`,
		`"missing", "invalid", "no X"`, "This row is none.", "There is none.",
	},
	{
		`\b(?:is|are|was|were|be) no [\w-]+['’]s\b`, "", `"is not an X's", "belongs to no X"`, "The key is no operator's.",
		"The key is not an operator's.",
	},
	{
		`(?:\w+ )?\b(?:is|are|was|were) no (?:valid |known |whole )?(?:URL|number|time|duration|key|token|file|address|name)\b`, `(?i)^there`,
		`"is not a X", "invalid X"`, "The issuer is no URL.", "There is no URL: invalid URL.",
	},
	{
		`\bwho(?:so)?ever\b`, "", `"a caller that", "anyone who"`, "Whoever has a token may revoke it.",
		"A caller that has a token may revoke it.",
	},
	{`\bthose who\b`, "", `the noun: "callers that", "operators who"`, "It serves those who ask.", "It serves clients that ask."},
	{
		start + `(?:What|Whose|Who|Whom|Those|Which|Whatever)\b`, `[?]$|^Who returns `, // a field's name
		"start the sentence with its noun", "What is kept of a key.", "Which key is it?",
	},
	{
		start + `Of (?:an?|its|what|those)\b`, "",
		"start the sentence with its noun", "Of a key it shows the name.", "It shows a key's name.",
	},
	{
		`\b(?:is|are|was|were) (?:that which|that of what|those which|those that)\b`, "",
		`"returns", or the noun again`, "Lookup is that which finds.", "Lookup returns the key.",
	},
	{`\bsuch as (?:are|is|have|has)\b`, "", `"that are"`, "It takes such as are new.", "It takes keys such as this one."},
	{
		`\b(?:wherefore|thereof|whence|thence|withal|forthwith|anew|therein|wherein|whereof|henceforth|heretofore|hitherto|` +
			`lest|hereof|hither|thither|naught|nought|aught|ere|albeit|betwixt)\b`, "",
		`today's word: "again", "at once", "from", "of it", "so that … not"`, "It is written anew.", "It is written again.",
	},
	{`\bbe (?:it|they)\b`, "", `"whether it is"`, "Any key, be it revoked or not.", "Any key, whether revoked or not."},
	{
		`\bsave (?:that|where|when|by|in|those)\b|, save for\b|\bbut for\b|\ball but that\b`, "",
		`"except"`, "It is public but for one page.", "It is public except for one page.",
	},
	{`\bfor want of\b`, "", `"without", "because there is no X"`, "It fails for want of a key.", "It fails without a key."},
	{
		`\bas of (?:an?|the|its|any|one|those|all|every|each|what)\b`, "", `"as with", "like"`,
		"As of a key, its name is shown.", "As with a key, its name is shown.",
	},
	{`\b(?:be|were|was|is) had\b`, "", `"is available"`, "No tool is to be had.", "No tool is available."},
	{`\bin vain\b`, "", `"without success", "fails"`, "It asks in vain.", "It asks without success."},
	{
		`\bnor (?:does|do|did|is|are|was|were|has|have|can|may|will) (?:it|they|he|that)\b`, "", `"and it does not"`,
		"It is not read, nor does it grow.", "It is not read and does not grow.",
	},
	{`\b(?:go|goes|going|gone|went) on with\b`, "", `"continue"`, "It goes on with the next.", "It continues with the next."},
	{`\bso long\b`, `^so long (?:that|as|ago)`, `"as long as", "until then", "that long"`, "It waits so long.", "It waits as long as that."},
	{`\bat most so (?:many|much|long)\b`, "", `"at most N", "up to max"`, "At most so many keys.", "Up to max keys."},
	{
		`\b(?:do|does|did) not read(?:[.,;:)]|$)`, "", `"is invalid", "cannot be parsed"`, "A file that does not read.",
		"It does not read the file.",
	},
	{`\b(?:is|are) of no\b`, "", `"has no", "does not"`, "It is of no use.", "It has no use."},
	{`\bso that nobody\b`, "", `"so that no X"`, "It is locked so that nobody writes.", "It is locked so that no client writes."},
	{
		`\bwhich then\b`, "", `"and then" and the noun`, "It calls the server, which then answers.",
		"It calls the server; the server then answers.",
	},
	{
		`\b(?:unless|if|where|once|while|that|which) (?:it )?(?:is|are) (?:not )?(?:there|here)\b`, "",
		`"exists", "is missing"`, "A file that is not there.", "A file that does not exist.",
	},
	{`\basked? of\b`, "", `"read from", "requested from"`, "The time is asked of a clock.", "The time is read from a clock."},
	{`\b(?:see|sees|saw|seen) to (?:it|that)\b`, "", `"ensure", "make sure"`, "It sees to it.", "It makes sure."},
	{
		`\b(?:name|names|named|naming|gives?|gave|keeps?|kept|sets?) none\b`, "", `"omits", "no X"`,
		"A request that names none.", "A request that omits it.",
	},
	{`\b(?:is|are|was|were) no more\b`, `^\w+ no more than`, `"no longer exists"`, "The key is no more.", "It is no more than that."},
	{`\b(?:him|his|himself)\b`, "", `"they", or the noun again`, "An operator and his keys.", "An operator and their keys."},
	{`\bstands? (?:in|at|beside|on) (?:the|an?|its|it|their)\b`, "", `"is in"`, "It stands in the log.", "It is in the log."},
	{`^err$`, "", `the log key "error"`, "err", "error"},
}

var compiledRules = func() (all []compiled) {
	for _, r := range rules {
		all = append(all, compile(r))
	}
	return all
}()

type compiled struct {
	rule
	find, leave *regexp.Regexp
}

func compile(r rule) compiled {
	spaces := func(pattern string) *regexp.Regexp {
		return regexp.MustCompile(strings.ReplaceAll(pattern, " ", `\s+`))
	}
	c := compiled{rule: r, find: spaces(r.pattern)}
	if !strings.HasPrefix(r.pattern, start) {
		c.find = spaces("(?i)" + r.pattern)
	}
	if r.unless != "" {
		c.leave = spaces(r.unless)
	}
	return c
}

var sentenceEnd = regexp.MustCompile(`[.!?](?:\s|$)|$`)

// matches returns where the rule is broken.
func (c compiled) matches(body string) [][]int {
	var found [][]int
	for _, at := range c.find.FindAllStringIndex(body, -1) {
		end := at[1] + sentenceEnd.FindStringIndex(body[at[1]:])[0] + 1
		if c.leave == nil || !c.leave.MatchString(body[at[0]:min(end, len(body))]) {
			found = append(found, at)
		}
	}
	return found
}
