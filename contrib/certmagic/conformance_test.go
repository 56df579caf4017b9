package certmagicstore_test

// What certmagic itself asks of a storage: the tests of its FileStorage, on this one, and
// FileStorage as the model of random programs; then certmagic as a whole. The first follow
// github.com/caddyserver/certmagic v0.25.6, filestorage_test.go: Apache License 2.0.

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	random "math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	certmagicstore "forge.lthn.ai/core/go-store/contrib/certmagic"
	"forge.lthn.ai/core/go-store/storetest"
)

func TestFileStorageStoreLoad(t *testing.T) {
	s := certmagicstore.New(storetest.New(t).Store, certmagicstore.Options{})
	require.NoError(t, s.Store(t.Context(), "foo", []byte("bar")))
	data, err := s.Load(t.Context(), "foo")
	require.NoError(t, err)
	require.Equal(t, []byte("bar"), data)
}

func TestFileStorageStoreLoadRace(t *testing.T) {
	s := certmagicstore.New(storetest.New(t).Store, certmagicstore.Options{})
	a, b := bytes.Repeat([]byte("a"), 4096*1024), bytes.Repeat([]byte("b"), 4096*1024)
	require.NoError(t, s.Store(t.Context(), "foo", a))
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.NoError(t, s.Store(t.Context(), "foo", b))
	}()
	data, err := s.Load(t.Context(), "foo")
	<-done
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, a) || bytes.Equal(data, b))
}

func TestFileStorageWriteLock(t *testing.T) {
	s := certmagicstore.New(storetest.New(t).Store, certmagicstore.Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Lock(ended, "foo"), "it is free")
	require.ErrorIs(t, s.Lock(ended, "foo"), context.Canceled)
	require.NoError(t, s.Unlock(ended, "foo"))
	require.NoError(t, s.Lock(ended, "foo"))
	require.NoError(t, s.Unlock(ended, "foo"))
}

// Random programs do to this storage and to a FileStorage the same, and see the same. (Below
// a file they are not asked: there FileStorage says that everything exists.)
func TestLikeFileStorage(t *testing.T) {
	files := []string{"a/b/c", "a/b/d", "a/b-e", "a0", "f", "g/h.crt", "g/i/j/k/l", "ü/日本", "sp ace/x"}
	asked := append([]string{"", "a", "a/b", "g", "g/i", "g/i/j", "none", "none/x", "ü"}, files...)
	for seed := range uint64(5) {
		draw := random.New(random.NewPCG(seed, 0))
		ours := certmagicstore.New(storetest.New(t, storetest.InMemory()).Store, certmagicstore.Options{})
		model := &certmagic.FileStorage{Path: t.TempDir()}
		for step := range 60 {
			key, value := files[draw.IntN(len(files))], []byte(fmt.Sprint(seed, step))
			if draw.IntN(3) > 0 {
				require.NoError(t, ours.Store(t.Context(), key, value))
				require.NoError(t, model.Store(t.Context(), key, value))
			} else {
				for ; draw.IntN(2) == 0 && path.Dir(key) != "."; key = path.Dir(key) {
				}
				require.NoError(t, ours.Delete(t.Context(), key))
				require.NoError(t, model.Delete(t.Context(), key))
				prune(model.Path, key)
			}
			for _, key := range asked {
				requireAlike(t, ours, model, key)
			}
		}
	}
}

// prune removes the folders that FileStorage leaves behind empty: here there are no such.
func prune(root, key string) {
	for at := path.Dir(key); at != "."; at = path.Dir(at) {
		if os.Remove(filepath.Join(root, at)) != nil {
			return
		}
	}
}

func requireAlike(t *testing.T, ours, model certmagic.Storage, key string) {
	t.Helper()
	require.Equal(t, model.Exists(t.Context(), key), ours.Exists(t.Context(), key), key)
	for _, recursive := range []bool{false, true} {
		want, wantErr := model.List(t.Context(), key, recursive)
		got, err := ours.List(t.Context(), key, recursive)
		require.Equal(t, errors.Is(wantErr, fs.ErrNotExist), errors.Is(err, fs.ErrNotExist), "%q: %v, %v", key, wantErr, err)
		slices.Sort(want)
		require.Equal(t, len(want), len(got))
		require.True(t, slices.Equal(want, got), "%q %v: %v, %v", key, recursive, want, got)
	}
	wantInfo, wantErr := model.Stat(t.Context(), key)
	info, err := ours.Stat(t.Context(), key)
	require.Equal(t, errors.Is(wantErr, fs.ErrNotExist), errors.Is(err, fs.ErrNotExist), "%q: %v, %v", key, wantErr, err)
	if wantErr == nil {
		require.Equal(t, wantInfo.Key, info.Key)
		require.Equal(t, wantInfo.IsTerminal, info.IsTerminal)
		if info.IsTerminal {
			require.Equal(t, wantInfo.Size, info.Size)
			require.WithinDuration(t, time.Now(), info.Modified, time.Minute)
		}
	}
	if wantErr != nil || wantInfo.IsTerminal {
		want, wantErr := model.Load(t.Context(), key)
		got, err := ours.Load(t.Context(), key)
		require.Equal(t, errors.Is(wantErr, fs.ErrNotExist), errors.Is(err, fs.ErrNotExist), "%q: %v, %v", key, wantErr, err)
		require.Equal(t, want, got)
	}
}

// issuer signs by itself.
type issuer struct{ issued int }

func (*issuer) IssuerKey() string { return "test" }

func (i *issuer) Issue(_ context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	i.issued++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(i.issued)), Subject: pkix.Name{CommonName: "test"}, DNSNames: request.DNSNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, request.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// certmagic as a whole: a certificate is obtained once, and is there after a kill.
func TestCertmagic(t *testing.T) {
	s, ca := storetest.New(t), &issuer{}
	obtain := func() {
		var config *certmagic.Config
		cache := certmagic.NewCache(certmagic.CacheOptions{
			GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil },
			Logger:           zap.NewNop(),
		})
		defer cache.Stop()
		config = certmagic.New(cache, certmagic.Config{Storage: certmagicstore.New(s.Store, certmagicstore.Options{}),
			Issuers: []certmagic.Issuer{ca}, Logger: zap.NewNop(), OCSP: certmagic.OCSPConfig{DisableStapling: true}})
		require.NoError(t, config.ManageSync(t.Context(), []string{"example.com", "*.example.org"}))
		certificate, err := config.CacheManagedCertificate(t.Context(), "example.com")
		require.NoError(t, err)
		require.Contains(t, certificate.Names, "example.com")
	}
	obtain()
	require.Equal(t, 2, ca.issued)
	locks, err := s.Count("certmagic:locks")
	require.NoError(t, err)
	require.Zero(t, locks)
	text, err := s.Get("certmagic", "certificates/test/example.com/example.com.crt")
	require.NoError(t, err)
	require.Contains(t, text, "BEGIN CERTIFICATE")
	s.Kill()
	obtain()
	require.Equal(t, 2, ca.issued)
	storage := certmagicstore.New(s.Store, certmagicstore.Options{})
	require.NoError(t, certmagic.CleanStorage(t.Context(), storage, certmagic.CleanStorageOptions{
		Logger: zap.NewNop(), OCSPStaples: true, ExpiredCerts: true, ExpiredCertGracePeriod: -365 * 24 * time.Hour}))
	require.False(t, storage.Exists(t.Context(), "certificates/test/example.com/example.com.crt"), "it is cleaned up")
}
