package api_test

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/stretchr/testify/require"
)

// bindMount gives a file, and its folder, another name, where that is permitted.
func bindMount(s *scene) {
	folder := s.t.TempDir()
	for from, to := range map[string]string{
		filepath.Dir(s.path): filepath.Join(folder, "folder"),
		s.file():             filepath.Join(folder, "file.db"+s.suffix),
	} {
		if from == s.file() {
			require.NoError(s.t, os.WriteFile(to, nil, 0o600))
		} else {
			require.NoError(s.t, os.Mkdir(to, 0o700))
		}
		if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
			return // for root alone
		}
		s.t.Cleanup(func() { require.NoError(s.t, syscall.Unmount(to, syscall.MNT_DETACH)) })
		if from != s.file() {
			s.reopen = append(s.reopen, filepath.Join(to, filepath.Base(s.path)))
		} else if s.suffix == "" {
			s.reopen = append(s.reopen, to)
		}
	}
}
