// Command clients names the libraries that the documentation's examples use, so that go.mod keeps them.
package main

import (
	_ "github.com/MicahParks/keyfunc/v3"
	_ "github.com/golang-jwt/jwt/v5"
	_ "golang.org/x/time/rate"
)

func main() {}
