package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/burnkey/burnkey/client"
)

func Example() {
	c, err := client.New(client.Options{
		Server: "http://127.0.0.1:8080", Retries: 2,
		Key: func() (string, error) { return os.Getenv("BURNKEY_KEY"), nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	key, err := c.IssueKey(ctx, "acme", client.NewKey{Owner: "cust_1", Scopes: []string{"maps:read"}}, "order-17")
	if problem := new(client.Problem); errors.As(err, &problem) && problem.KeyID != "" {
		fmt.Println("this order has the key", problem.KeyID)
	} else if err != nil {
		log.Fatal(err)
	} else {
		fmt.Println(key.Token.Reveal()) // only here
	}
	for key, err := range c.Keys("acme", client.KeyFilter{Owner: "cust_1"}).All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key.ID, key.Name, key.Status)
	}
}
