module wapi/interop/original

go 1.25

require github.com/Rhymen/go-whatsapp v0.1.0

require (
	github.com/golang/protobuf v1.3.0 // indirect
	github.com/gorilla/websocket v1.4.0 // indirect
	github.com/pkg/errors v0.8.1 // indirect
	golang.org/x/crypto v0.0.0-20190308221718-c2843e01d9a2 // indirect
)
