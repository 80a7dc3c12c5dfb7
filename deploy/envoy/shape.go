package envoy

// The token's header is {"alg":"RS256","kid":"<43 characters>","typ":"JWT"}, or
// at+jwt instead of JWT. Only the kid varies, and base64 encodes
// its bytes in groups of three, so a regular expression can match the whole
// header. It must match the kid, too: a quotation mark inside the kid could end
// it early, and with an empty kid Envoy tries every key of the set.
const (
	headerStart = "eyJhbGciOiJSUzI1NiIsImtpZCI6" // {"alg":"RS256","kid":
	headerType  = "LCJ0eXAiOiJ"                  // ,"typ":"
	headerEnd   = headerType + "(?:KV1Qi|hdCtqd3Qi)fQ"
	accessEnd   = "hdCtqd3QifQ" // at+jwt"}

	kidSize = 60 // characters between headerStart and headerType
)

// Three bytes are four characters of base64. These character classes limit each byte to base64url's alphabet
// (2D, 30-39, 41-5A, 5F, 61-7A) closely enough to exclude quotation marks (22). A kid with another byte that
// these classes allow fails the signature check.
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

// RE2 expressions that the whole Authorization value must match. The scheme is case-insensitive
// (RFC 9110 section 11.1), and several spaces may follow (RFC 6750 section 2.1), but jwt_authn
// finds a token only after exactly "Bearer ". It treats any other spelling as no token, so the
// shape must refuse those. burnkey gateway reads the header by the rules of anyBearerShape, and
// knows the prefix of each workspace.
const (
	bearerScheme   = "[Bb][Ee][Aa][Rr][Ee][Rr] +"
	anyBearerShape = bearerScheme + anyTokenShape
	anyTokenShape  = "(?:[a-z][a-z0-9-]{0,30}-)?" + tokenShape // jwks.PrefixPattern
)

const tokenShape = headerStart +
	// First come the opening quotation mark and two bytes of the kid,
	`I` + `(?:` + openingSecond + thirdByte + `|` + openingDash + dashThird + `)` +
	// 39 bytes,
	`(?:` + firstByte + `(?:` + secondByte + thirdByte + `|` + secondDash + dashThird + `)){13}` +
	// and last the kid's last two bytes with the closing quotation mark.
	firstByte + `(?:` + secondByte + thirdBelow40 + `|` + secondDash + `0)i` + headerEnd +
	`\.` + base64url + `+\.` + base64url + `{341}` + lastOf256

const (
	thirdByte = `(?:` + thirdBelow40 + thirdBelow40To + `|` + thirdFrom40 + thirdFrom40To + `)`
	dashThird = `(?:0` + thirdBelow40To + `|1` + thirdFrom40To + `)`
)
