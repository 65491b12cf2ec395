package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/embedded/datadir"
	"github.com/eventpro/boxoffice/internal/sealing"
)

// developmentOrganiser is whom the embedded system's own key acts for.
const developmentOrganiser = "eventpro"

// access is who may call the embedded system, and the key of its personal data.
type access struct {
	keysFile, sealingFile string
	// key is the development key, with every scope.
	key     string
	keys    *apikey.Store
	sealing *sealing.Keyring
}

// openAccess reads the key files of a data directory and makes them at the
// first start.
func openAccess(dir *datadir.Dir) (access, error) {
	a := access{
		keysFile: dir.Path("api-keys.json"), sealingFile: dir.Path("sealing-key"),
		key: "bo_dev_" + base64.RawURLEncoding.EncodeToString(dir.DevKey()),
	}
	if _, err := os.Stat(a.keysFile); errors.Is(err, fs.ErrNotExist) {
		entry := apikey.NewEntry("development", a.key, developmentOrganiser, apikey.Admin)
		if err := apikey.Append(a.keysFile, entry); err != nil {
			return a, err
		}
	}
	if _, err := os.Stat(a.sealingFile); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(a.sealingFile, sealing.Generate(), 0o600); err != nil {
			return a, fmt.Errorf("make the key for personal data: %w", err)
		}
	}
	var err error
	if a.sealing, err = sealing.Load(a.sealingFile); err != nil {
		return a, err
	}
	a.keys, err = apikey.Open(a.keysFile, discardLog)
	return a, err
}
