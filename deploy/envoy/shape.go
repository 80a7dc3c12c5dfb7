package envoy

// The token's header is {"alg":"RS256","kid":"<43 characters>","typ":"JWT"}:
// 79 bytes, 106 characters of base64url. All but the kid is constant, and base64
// keeps the kid's bytes in groups of three, so a regular expression can hold the
// whole header to its shape. It must hold the kid too: a quotation mark inside
// it could end it early, and an empty kid makes Envoy try every key of the set.
const (
	headerStart = "eyJhbGciOiJSUzI1NiIsImtpZCI6" // {"alg":"RS256","kid":
	headerEnd   = "LCJ0eXAiOiJKV1QifQ"           // ,"typ":"JWT"}
)

// A group of three bytes is four characters. These classes hold each byte to
// base64url's alphabet (2D, 30-39, 41-5A, 5F, 61-7A) as far as it takes to keep
// quotation marks (22) out. What else they let through fails the signature.
const (
	firstByte      = `[L-OQ-e]`
	secondByte     = `[D-HT-Xj-nz0-3]` // 3x to 7x
	secondDash     = `[CSiy]`          // 2x, which 0 or 1 then makes 2D
	thirdBelow40   = `[AEIMQUYcgkosw048]`
	thirdFrom40    = `[BFJNRVZdhlptx159]`
	thirdBelow40To = `[tw-z0-5]`
	thirdFrom40To  = `[B-afh-z0-6]`

	openingSecond = `[j-n]` // secondByte and secondDash after a quotation mark
	openingDash   = `i`

	base64url = `[A-Za-z0-9_-]`
	lastOf256 = `[AQgw]` // 256 bytes leave four zero bits in the last character
)

// RE2 expressions that the whole Authorization value must match. The scheme's case
// does not matter (RFC 9110 section 11.1), and there may be several spaces (RFC 6750
// section 2.1), but jwt_authn finds the token behind "Bearer " alone, written so.
// What it does not find it takes for no token, so that filter lets pass no more than
// it sees. burnkey gateway reads what it is sent by the same rules as this.
const (
	bearerShape    = "Bearer " + tokenShape
	anyBearerShape = "[Bb][Ee][Aa][Rr][Ee][Rr] +" + tokenShape
)

const tokenShape = headerStart +
	// The opening quotation mark and two bytes of kid,
	`I` + `(?:` + openingSecond + thirdByte + `|` + openingDash + dashThird + `)` +
	// 39 bytes,
	`(?:` + firstByte + `(?:` + secondByte + thirdByte + `|` + secondDash + dashThird + `)){13}` +
	// and the last two with the closing quotation mark.
	firstByte + `(?:` + secondByte + thirdBelow40 + `|` + secondDash + `0)i` + headerEnd +
	`\.` + base64url + `+\.` + base64url + `{341}` + lastOf256

const (
	thirdByte = `(?:` + thirdBelow40 + thirdBelow40To + `|` + thirdFrom40 + thirdFrom40To + `)`
	dashThird = `(?:0` + thirdBelow40To + `|1` + thirdFrom40To + `)`
)
