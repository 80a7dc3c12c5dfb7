package rows

import (
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// SelectVersioned selects what Versioned reads.
	SelectVersioned = `SELECT version, ` + GatewayColumns + ` FROM workspaces WHERE id = $1`
	updateGateway   = `UPDATE workspaces SET gateway_settings = $2 WHERE id = $1`
)

// Versioned returns the destinations of the version of what is published and of the settings, nil if they have their
// defaults.
func Versioned(version *uint64, u *jwks.Unsigned) []any {
	return []any{version, Column(func(value any) error {
		var settings jwks.Settings
		if err := gatewaySettings(&settings)(value); err != nil || settings.IsDefault() {
			return err
		}
		u.Settings = &settings
		return nil
	})}
}

func gatewaySettings(s *jwks.Settings) Column {
	return func(value any) error {
		if err := object(s, "settings")(value); err != nil {
			return err
		}
		s.BareUntil = Cut(s.BareUntil)
		return s.Check()
	}
}

// Unsettled returns a new workspace as it is stored before Settle.
func Unsettled(w store.Workspace) store.Workspace {
	w.Settings = jwks.Settings{}
	return w
}

// Settle stores and publishes the settings of a workspace, unless it had the same before.
func (c Locked) Settle(w *store.Workspace) error {
	if w.Settings.Equal(&c.Workspace.Settings) {
		return nil
	}
	if err := w.Settings.Check(); err != nil {
		return err
	}
	if err := c.Exec(updateGateway, w.ID, encode(w.Settings, w.Settings.IsDefault())); err != nil {
		return err
	}
	w.Version = c.Workspace.Version + 1
	settings := w.Settings
	return c.Publish(jwks.Unsigned{Settings: &settings})
}
