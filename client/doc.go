// Package client is a small Go client of boxoffice's front door and look-ups.
//
// Every write carries an idempotency key, so that it can be repeated: the client
// does so by itself when the server is busy or away (429, 503, a broken
// connection), after the time that Retry-After names, with the same key. A
// registration that was accepted is processed within seconds; wait for it by
// passing its position to Registration.
//
//	c, err := client.New("http://127.0.0.1:8080", "http://127.0.0.1:8081", key)
//	accepted, err := c.Register(ctx, &client.Order{Key: "order-17", ...})
//	registration, err := c.Registration(ctx, accepted.RegistrationID, &accepted.Position)
package client
