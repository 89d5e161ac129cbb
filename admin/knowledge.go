package admin

import "time"

// Knowledge is the answer to GET /privacy: all that a server knows of its users.
type Knowledge struct {
	At    time.Time `json:"at"`
	Items []Item    `json:"items"`
}

// Item is one thing that is known.
type Item struct {
	Where  string `json:"where"`            // disk, memory, log or operator
	What   string `json:"what"`             // and, after a colon, what it consists of
	Count  int64  `json:"count"`            // of how many there is something
	Bytes  int64  `json:"bytes,omitempty"`  // of content
	Detail string `json:"detail,omitempty"` // what else there is to say at this moment
	Kept   string `json:"kept"`             // for how long
}
