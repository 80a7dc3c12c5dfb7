package doctor

// page is where each code has its section.
const page = "https://github.com/burnkey/burnkey/blob/main/docs/operate/doctor.md"

// Severity says how important a finding is.
type Severity int

// The severities.
const (
	Note    Severity = iota + 1 // worth knowing
	Warning                     // a risk
	Error                       // something does not work, or is not safe
)

func (s Severity) String() string { return [...]string{"", "note", "warning", "error"}[s] }

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that is wrong or risky.
type Finding struct {
	Code     string   `json:"code"` // stable
	Severity Severity `json:"severity"`
	Target   string   `json:"target"`
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Do       string   `json:"do"`
	Link     string   `json:"link"` // the section about the code
}

// kind is what all findings with the same code share.
type kind struct {
	code     string
	severity Severity
	why, do  string
	rank     int
}

// kinds are all codes.
var kinds = func() map[string]kind {
	byCode := make(map[string]kind, len(list))
	for i, k := range list {
		k.rank = i
		byCode[k.code] = k
	}
	return byCode
}()

// Codes returns all codes, the most important first.
func Codes() (codes []string) {
	for _, k := range list {
		codes = append(codes, k.code)
	}
	return codes
}
