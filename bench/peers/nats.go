package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"forge.lthn.ai/core/go-store/bench"
)

const (
	natsBucket = "bench"
	// natsPatience is for 4096 callers whose writes are synced one by one on a slow disk; the
	// client's own 5 s would be a failure there.
	natsPatience = time.Minute
	// natsBatch is how many messages the server takes in one batch.
	natsBatch = 1_000
)

func natsContender() bench.Contender {
	return bench.Contender{
		Name: "nats", Durability: powerCut,
		Note: "JetStream KV of a server in the process, SyncAlways (every two minutes by default), one connection by a pipe; a group is a token before the key",
		Open: openNats,
		Excuses: excuses(map[bench.Need]string{
			bench.NeedExpiry:      "keys expire in whole seconds, and watchers are not told the last value",
			bench.NeedSubscribe:   "with one revision a key, the log forgets what a subscriber has not had yet",
			bench.NeedScope:       "limits the bytes of a bucket, not its keys",
			bench.NeedGroupDelete: "deletes one key at a time; to purge the stream beneath tells no watcher",
			bench.NeedTransaction: "compare-and-set of one key",
			bench.NeedPage:        "lists keys in the order of their revisions",
			bench.NeedScan:        "lists keys in the order of their revisions",
		}),
	}
}

type natsTarget struct {
	server     *server.Server
	connection *nats.Conn
	closed     chan struct{} // by the client, when it has drained
	bucket     jetstream.KeyValue
	batches    atomic.Uint64
}

// openNats starts a server without a port and connects to it.
func openNats(folder string, _ bench.Settings) (_ bench.Target, err error) {
	t := &natsTarget{closed: make(chan struct{})}
	t.server, err = server.NewServer(&server.Options{
		ServerName: natsBucket, DontListen: true, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: folder, SyncAlways: true,
		MaxPayload:      2 * bench.MaxValueSize,                      // headers count too
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1}, // a watcher is one; 1,000 by default
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	t.server.Start()
	if !t.server.ReadyForConnections(natsPatience) {
		return nil, errors.New("nats: the server does not get ready")
	}
	t.connection, err = nats.Connect("", nats.InProcessServer(t.server), nats.ClosedHandler(func(*nats.Conn) { close(t.closed) }))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(t.connection, jetstream.WithDefaultTimeout(natsPatience))
	if err != nil {
		return nil, err
	}
	t.bucket, err = js.KeyValue(context.Background(), natsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		t.bucket, err = createBucket(js)
	}
	return t, err
}

// createBucket makes a bucket as the client does, whose stream takes batches besides: Load
// would need a sync for each key without.
func createBucket(js jetstream.JetStream) (jetstream.KeyValue, error) {
	ctx := context.Background()
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: natsBucket, History: 1, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, "KV_"+natsBucket)
	if err != nil {
		return nil, err
	}
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = true
	_, err = js.UpdateStream(ctx, config)
	return bucket, err
}

// natsKey needs no encoding: the names of the harness's groups and keys are letters, digits and
// hyphens, each of them one token of a subject.
func natsKey(group, key string) string { return group + "." + key }

func (t *natsTarget) Set(group, key, value string) error {
	_, err := t.bucket.PutString(context.Background(), natsKey(group, key), value)
	return err
}

func (t *natsTarget) Get(group, key string) (string, bool, error) {
	entry, err := t.bucket.Get(context.Background(), natsKey(group, key))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return string(entry.Value()), true, nil
}

// Delete leaves a mark in the place of the key.
func (t *natsTarget) Delete(group, key string) error {
	return t.bucket.Delete(context.Background(), natsKey(group, key))
}

// GetAll reads what a watcher is told first: all there is.
func (t *natsTarget) GetAll(group string) (_ map[string]string, err error) {
	watcher, err := t.bucket.Watch(context.Background(), natsKey(group, "*"), jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, watcher.Stop())
		for range watcher.Updates() { // the client would wait for ever to put something there
		}
	}()
	all := make(map[string]string)
	for entry := range watcher.Updates() {
		if entry == nil {
			return all, nil
		}
		all[entry.Key()[len(group)+1:]] = string(entry.Value())
	}
	return nil, errors.New("nats: the watcher ended before it had told of every key")
}

// Watch tells of what there is when the server gets to it: a value that was overwritten by then
// is lost, and not counted.
func (t *natsTarget) Watch(group, key string, receive func(value string)) (func() (uint64, error), error) {
	watcher, err := t.bucket.Watch(context.Background(), natsKey(group, key), jetstream.UpdatesOnly())
	if err != nil {
		return nil, err
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		for entry := range watcher.Updates() {
			receive(string(entry.Value()))
		}
	})
	return func() (uint64, error) {
		err := watcher.Stop()
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			err = nil // Close was before
		}
		ended.Wait()
		return 0, errors.Join(err, bench.DropsUncountedError)
	}, nil
}

func (t *natsTarget) Load(items []bench.Item) error {
	for batch := range slices.Chunk(items, natsBatch) {
		if err := t.load(batch); err != nil {
			return err
		}
	}
	return nil
}

// load publishes a batch, which is stored as a whole with its last message.
func (t *natsTarget) load(batch []bench.Item) error {
	id := strconv.FormatUint(t.batches.Add(1), 10)
	for i, item := range batch {
		message := nats.NewMsg("$KV." + natsBucket + "." + natsKey(item.Group, item.Key))
		message.Data = []byte(item.Value)
		message.Header.Set("Nats-Batch-Id", id)
		message.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i == len(batch)-1 {
			message.Header.Set("Nats-Batch-Commit", "1")
		}
		reply, err := t.connection.RequestMsg(message, natsPatience)
		if err != nil {
			return err
		}
		if err := refusal(reply); err != nil {
			return fmt.Errorf("nats: message %d of a batch: %w", i+1, err)
		}
	}
	return nil
}

// refusal is the error in the answer to a message. There is nothing in it while the batch grows.
func refusal(reply *nats.Msg) error {
	if len(reply.Data) == 0 {
		return nil
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	return nil
}

// Close has the client hand over what it has before the server goes.
func (t *natsTarget) Close() error {
	var err error
	if t.connection != nil {
		if err = t.connection.Drain(); err == nil {
			<-t.closed
		}
	}
	t.server.Shutdown()
	t.server.WaitForShutdown()
	return err
}
