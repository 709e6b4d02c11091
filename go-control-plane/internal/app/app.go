// Package app assembles the control plane from its parts and runs it.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/httpapi"
	"hybrid/control-plane/internal/kafka"
	"hybrid/control-plane/internal/outbox"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/readiness"
	"hybrid/control-plane/internal/snapshot"
	"hybrid/control-plane/internal/telemetry"
)

const (
	// drainTimeout is how long calls in flight may take after the signal to end.
	drainTimeout = 10 * time.Second
	// backgroundTimeout is how long background work may take to end after that. A producer may block while the broker is away.
	backgroundTimeout = 3 * time.Second

	// logPatience is how long a log may end before the ledger's offset until its records count as lost.
	logPatience = 15 * time.Second

	// relayPlace is the transactional id of the outbox's relays, of which one publishes at a time.
	relayPlace = "hybrid-control-plane-outbox"

	pollInterval = 2 * time.Second
	fleetSave    = time.Second

	// pruneInterval is how often what is no longer needed is deleted.
	pruneInterval = 10 * time.Minute
)

// The tasks of readiness.
const (
	taskMigrations = "postgres-migrations"
	taskCatalog    = "catalog-loaded"
	taskWrites     = "postgres-writable"
	taskTopics     = "kafka-topics"
	taskRelay      = "outbox-relay"
	taskLedger     = "usage-ledger"
)

var topics = []kafka.Topic{
	{Name: contract.QuotesTopic, Partitions: 4},
	{Name: contract.UsageTopic, Partitions: 4},
	{Name: contract.CatalogTopic, Partitions: 1, Compacted: true},
	{Name: contract.QuotesTopic + contract.DeadLetterSuffix, Partitions: 1},
	{Name: contract.UsageTopic + contract.DeadLetterSuffix, Partitions: 1},
}

// Run serves until ctx is done, then drains: it reports that it is not ready, waits for the delay of the settings, refuses new calls, finishes the calls in flight
// within a deadline, and ends the background work. It fails with a *config.Error if a setting cannot be used, and with
// another error if a listener fails.
func Run(ctx context.Context, c config.Config, log *slog.Logger) error {
	var refused atomic.Int64
	httpListener, err := listen(c.HTTPAddress, config.HTTPPortVariable, maxConnections, &refused)
	if err != nil {
		return err
	}
	defer httpListener.Close()
	grpcListener, err := listen(c.GRPCAddress, config.GRPCPortVariable, maxConnections, &refused)
	if err != nil {
		return err
	}
	defer grpcListener.Close()
	pools, err := postgres.OpenPools(ctx, c.Postgres, postgres.NewTracer())
	if err != nil {
		return &config.Error{Variable: config.PostgresVariable, Reason: "the connection string is refused", Err: err}
	}
	defer pools.Close()
	p := assemble(c, pools, log)
	p.measure(&refused)
	return p.run(ctx, httpListener, grpcListener)
}

// plane is the parts of a control plane.
type plane struct {
	pools     postgres.Pools
	broker    kafka.Broker
	log       *slog.Logger
	ready     *readiness.Readiness
	publisher *snapshot.Publisher
	builder   *snapshot.Builder
	registry  *fleet.Registry
	producer  *kafka.Producer
	// deadLetters is a separate producer, so that dead letters never wait for the outbox.
	deadLetters *kafka.Producer
	relay       *outbox.Relay
	usage       *kafka.UsageConsumer
	retention   *postgres.Retention
	services    grpcapi.Services
	streams     *telemetry.Streams
	// relayWake and builderWake receive a value after a commit.
	relayWake, builderWake chan struct{}
	draining               chan struct{}
	kafka                  kafkaUse
	// ledgerAge is nil where no watermark is kept.
	ledgerAge *ledgerAge
	// drainDelay is how long the process serves after it has said that it is not ready.
	drainDelay time.Duration
	// nodeRetention is how long a node is known that is gone; 0 is for ever.
	nodeRetention time.Duration
}

func assemble(c config.Config, pools postgres.Pools, log *slog.Logger) *plane {
	p := &plane{
		pools: pools, log: log, drainDelay: c.DrainDelay, nodeRetention: c.NodeRetention, retention: postgres.NewRetention(pools.Background, c.LedgerRetention),
		broker:      kafka.Broker{Addresses: c.Kafka, StandIn: c.KafkaStandIn},
		ready:       readiness.New(taskMigrations, taskCatalog, taskWrites, taskTopics, taskRelay, taskLedger),
		publisher:   snapshot.NewPublisher(contract.UpdateEncoder{}),
		registry:    fleet.NewRegistry(func() time.Time { return time.Now().UTC() }),
		streams:     telemetry.NewStreams(),
		relayWake:   make(chan struct{}, 1),
		builderWake: make(chan struct{}, 1),
		draining:    make(chan struct{}),
	}
	p.kafka.ready = p.ready
	p.producer, p.deadLetters = kafka.NewFencedProducer(p.broker, relayPlace), kafka.NewProducer(p.broker)
	book := postgres.NewLedger(pools.Background, contract.CatalogChanged)
	p.builder = &snapshot.Builder{
		Source: &migrated{postgres.NewSnapshotSource(pools.Background, contract.CatalogChanged), p}, Publisher: p.publisher, Wake: p.builderWake, Poll: pollInterval, Log: log,
		Healthy: func(err error) {
			if err != nil {
				p.ready.Reopen(taskCatalog, err.Error())
			} else {
				p.ready.Complete(taskCatalog, "")
			}
		},
	}
	p.relay = &outbox.Relay{Queue: postgres.NewOutbox(pools.Background), Publisher: p.producer, Wake: p.relayWake, Poll: pollInterval,
		Healthy: p.kafka.healthy(taskRelay), Log: log}
	p.usage = &kafka.UsageConsumer{
		Broker: p.broker, Topic: contract.UsageTopic, DeadLetterTopic: contract.UsageTopic + contract.DeadLetterSuffix,
		Book: book, Parse: contract.ParseUsageWindow, Producer: p.deadLetters,
		Healthy: p.kafka.healthy(taskLedger), Lost: p.kafka.lost(taskLedger), Log: log, Patience: logPatience,
	}
	if c.KafkaStandIn {
		// The log of the stand-in ends with its process, so waiting for lost records is useless.
		p.usage.Patience = 0
	} else {
		p.usage.Watermark = &kafka.Watermark{Quotes: contract.QuotesTopic, Group: contract.MeteringGroup, Raise: book.RaiseWatermark}
		p.ledgerAge = &ledgerAge{}
	}
	p.services = grpcapi.Services{
		Catalog: &grpcapi.Catalog{
			Items:      catalog.NewCollection(postgres.Items(pools.Reads, pools.Writes, contract.CatalogChanged)),
			TaxRules:   catalog.NewCollection(postgres.TaxRules(pools.Reads, pools.Writes, contract.CatalogChanged)),
			Promotions: catalog.NewCollection(postgres.Promotions(pools.Reads, pools.Writes, contract.CatalogChanged)),
			Log:        log,
		},
		Snapshot: &grpcapi.Snapshot{Publisher: p.publisher, Registry: p.registry, Observer: p.streams, Log: log, Draining: p.draining, LedgerAge: p.ledgerAge.now},
		Fleet:    &grpcapi.Fleet{Registry: p.registry, Publisher: p.publisher, Log: log},
		Ledger:   &grpcapi.Ledger{Reader: postgres.NewLedger(pools.Reads, contract.CatalogChanged), Log: log},
	}
	return p
}

func (p *plane) measure(refused *atomic.Int64) {
	telemetry.Observe(telemetry.Readings{
		ConnectionsRefused: refused.Load,
		SnapshotVersion:    func() int64 { return p.publisher.Stats().Version },
		SnapshotResources:  func() int64 { return int64(p.publisher.Stats().Resources) },
		SnapshotStreams:    func() int64 { return int64(p.publisher.Stats().Streams) },
		SnapshotBehind:     func() int64 { return p.publisher.Stats().Behind },
		OutboxLag:          p.relay.Lag,
		OutboxPublished:    p.relay.Published,
		LedgerLag:          func() int64 { return p.usage.Stats().Lag },
		LedgerRecords:      func() int64 { return p.usage.Stats().Records },
		LedgerEntries:      func() int64 { return p.usage.Stats().Entries },
		LedgerDeadLetters:  func() int64 { return p.usage.Stats().DeadLetters },
		LedgerMissing:      func() int64 { return p.usage.Stats().Missing },
		LedgerAge:          p.ledgerAge.now,
		Nodes:              p.nodes,
		Pools:              p.pools.Readings,
	})
}

func (p *plane) nodes() []telemetry.Node {
	now := time.Now()
	known := p.registry.Nodes()
	nodes := make([]telemetry.Node, len(known))
	for i, n := range known {
		nodes[i] = telemetry.Node{ID: n.ID, Connected: n.Connected, Elsewhere: !p.registry.Own(n), AppliedVersion: n.AppliedVersion,
			ConfigAge: p.publisher.Age(n.AppliedVersion, now), Rejects: len(n.Rejects)}
	}
	return nodes
}

func (p *plane) run(ctx context.Context, httpListener, grpcListener net.Listener) error {
	// The background work outlives ctx: it ends only after the last call in flight.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	var work sync.WaitGroup
	p.start(background, &work)

	grpcServer, health := grpcapi.NewServer(p.services, p.log)
	p.ready.OnChange(func(ready bool) {
		health.Set(ready)
		p.log.InfoContext(ctx, "readiness changed", "ready", ready)
	})
	handler, err := httpapi.NewHandler(background, p.services, p.ready, p.log)
	if err != nil {
		return err
	}
	httpServer := newHTTPServer(handler, p.log)
	var servers errgroup.Group
	failed := make(chan struct{})
	var once sync.Once
	serve := func(serve func() error) {
		servers.Go(func() error {
			err := serve()
			if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
				once.Do(func() { close(failed) })
				return err
			}
			return nil
		})
	}
	serve(func() error { return httpServer.Serve(httpListener) })
	serve(func() error { return grpcServer.Serve(grpcapi.Listen(grpcListener, grpcapi.AnswersTimeout)) })
	p.log.InfoContext(ctx, "listening", "http", httpListener.Addr().String(), "grpc", grpcListener.Addr().String())

	select {
	case <-ctx.Done():
		p.leave(ctx, failed)
	case <-failed:
	}
	p.log.InfoContext(ctx, "draining", "deadline", drainTimeout)
	p.ready.Drain()
	close(p.draining)
	p.drain(httpServer, grpcServer)
	err = servers.Wait()
	stopBackground()
	if !within(backgroundTimeout, work.Wait) {
		p.log.WarnContext(ctx, "background work did not end in time", "deadline", backgroundTimeout)
		return err
	}
	p.producer.Close()
	p.deadLetters.Close()
	p.log.InfoContext(ctx, "drained")
	return err
}

// leave says that the process is not ready, and lets it serve until the delay is over or a server has failed: who chooses among
// processes by their readiness learns of it in time.
func (p *plane) leave(ctx context.Context, failed <-chan struct{}) {
	if p.drainDelay == 0 {
		return
	}
	p.log.InfoContext(ctx, "not ready any more; draining after a delay", "delay", p.drainDelay)
	p.ready.Leave()
	select {
	case <-time.After(p.drainDelay):
	case <-failed:
	}
}

// newHTTPServer limits how long a caller may take to send its request, to read the answer, and to ask again.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// within reports whether wait returns within the limit.
func within(limit time.Duration, wait func()) bool {
	ended := make(chan struct{})
	go func() { wait(); close(ended) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// start begins all background work. Each part retries on its own, so start does not wait for any of them.
func (p *plane) start(ctx context.Context, work *sync.WaitGroup) {
	work.Go(func() {
		// Nothing uses the database before its schema exists.
		if p.migrate(ctx) != nil {
			return
		}
		work.Go(func() { p.builder.Run(ctx) })
		work.Go(func() { p.watchWrites(ctx) })
		work.Go(func() { p.watchLedger(ctx, postgres.NewLedger(p.pools.Background, contract.CatalogChanged)) })
		work.Go(func() { p.prune(ctx) })
		work.Go(func() { postgres.Listen(ctx, p.pools.Background, p.log, p.relayWake, p.builderWake) })
		work.Go(func() {
			p.registry.Run(ctx, postgres.NewFleetStore(p.pools.Background), fleetSave, p.nodeRetention, p.log)
		})
		work.Go(func() { p.keepTopics(ctx, work) })
	})
}

// keepTopics begins the work that needs the topics once they have all existed.
func (p *plane) keepTopics(ctx context.Context, work *sync.WaitGroup) {
	healthy, begun := p.kafka.healthy(taskTopics), false
	keeper := kafka.Keeper{Broker: p.broker, Topics: topics, Log: p.log, Healthy: func(err error) {
		if err != nil && !begun {
			p.ready.Reopen(taskTopics, err.Error())
			return
		}
		healthy(err)
		if !begun {
			begun = true
			work.Go(func() { p.lead(ctx, postgres.RelayDuty, taskRelay, p.relay.Run) })
			work.Go(func() { p.lead(ctx, postgres.LedgerDuty, taskLedger, p.usage.Run) })
		}
	}}
	keeper.Run(ctx)
}

// lead does the work of a duty whenever this control plane holds it. While it does not, the task is done: another one does it.
func (p *plane) lead(ctx context.Context, duty postgres.Duty, task string, work func(context.Context) error) {
	standby := func() { p.ready.Complete(task, "another control plane does it, or none yet") }
	standby()
	postgres.Lead(ctx, p.pools.Background, duty, p.log, func(ctx context.Context) error {
		defer standby()
		return work(ctx)
	})
}

// drain lets calls in flight finish and cancels those that take too long. HTTP ends last: until then it refuses new calls
// and reports at /readyz that the process is draining.
func (p *plane) drain(httpServer *http.Server, grpcServer *grpc.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	stopped := make(chan struct{})
	go func() { grpcServer.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
	case <-ctx.Done():
		grpcServer.Stop()
		<-stopped
	}
	if err := httpServer.Shutdown(ctx); err != nil {
		httpServer.Close()
	}
}
