// Package app puts the control plane together and runs it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"hybrid/control-plane/internal/backoff"
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
	// drainTimeout is how long calls in flight may take when the process is to end.
	drainTimeout = 10 * time.Second
	// backgroundTimeout is how long the background may take to end after that: a broker that is away holds a producer up.
	backgroundTimeout = 3 * time.Second

	// logPatience is how long a log that is shorter than what was booked from it is taken for one that is not fully there yet.
	logPatience = 15 * time.Second

	pollInterval = 2 * time.Second
	fleetSave    = time.Second
)

// The tasks that readiness waits for.
const (
	taskMigrations = "postgres-migrations"
	taskCatalog    = "catalog-loaded"
	taskTopics     = "kafka-topics"
)

var topics = []kafka.Topic{
	{Name: contract.QuotesTopic, Partitions: 4},
	{Name: contract.UsageTopic, Partitions: 4},
	{Name: contract.CatalogTopic, Partitions: 1, Compacted: true},
	{Name: contract.QuotesTopic + contract.DeadLetterSuffix, Partitions: 1},
	{Name: contract.UsageTopic + contract.DeadLetterSuffix, Partitions: 1},
}

// Run serves until ctx is done, then drains: it stops to be ready, stops to accept, finishes what is in flight within the
// deadline, and ends the background work. A failure to start, or of a listener, ends it with an error.
func Run(ctx context.Context, c config.Config, log *slog.Logger) error {
	pool, err := postgres.Open(ctx, c.Postgres, postgres.NewTracer())
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer pool.Close()
	p := assemble(c, pool, log)
	if err := p.measure(); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	httpListener, err := net.Listen("tcp", c.HTTPAddress)
	if err != nil {
		return err
	}
	defer httpListener.Close()
	grpcListener, err := net.Listen("tcp", c.GRPCAddress)
	if err != nil {
		return err
	}
	defer grpcListener.Close()
	return p.run(ctx, httpListener, grpcListener)
}

// plane is the parts of a control plane.
type plane struct {
	pool      *pgxpool.Pool
	broker    kafka.Broker
	log       *slog.Logger
	ready     *readiness.Readiness
	publisher *snapshot.Publisher
	builder   *snapshot.Builder
	registry  *fleet.Registry
	producer  *kafka.Producer
	// deadLetters has a producer of its own, so that it never waits for the outbox.
	deadLetters *kafka.Producer
	relay       *outbox.Relay
	usage       *kafka.UsageConsumer
	services    grpcapi.Services
	streams     *telemetry.Streams
	// relayWake and builderWake are due when something was committed.
	relayWake, builderWake chan struct{}
	draining               chan struct{}
}

func assemble(c config.Config, pool *pgxpool.Pool, log *slog.Logger) *plane {
	p := &plane{
		pool: pool, log: log,
		broker:      kafka.Broker{Addresses: c.Kafka, StandIn: c.KafkaStandIn},
		ready:       readiness.New(taskMigrations, taskCatalog, taskTopics),
		publisher:   snapshot.NewPublisher(),
		registry:    fleet.NewRegistry(func() time.Time { return time.Now().UTC() }),
		streams:     &telemetry.Streams{},
		relayWake:   make(chan struct{}, 1),
		builderWake: make(chan struct{}, 1),
		draining:    make(chan struct{}),
	}
	p.producer, p.deadLetters = kafka.NewProducer(p.broker), kafka.NewProducer(p.broker)
	book := postgres.NewLedger(pool, contract.CatalogChanged)
	p.builder = &snapshot.Builder{
		Source: postgres.NewSnapshotSource(pool), Publisher: p.publisher, Wake: p.builderWake, Poll: pollInterval, Log: log,
		Healthy: func(err error) {
			if err != nil {
				p.ready.Reopen(taskCatalog, err.Error())
			} else {
				p.ready.Complete(taskCatalog, "")
			}
		},
	}
	p.relay = &outbox.Relay{Queue: postgres.NewOutbox(pool), Publisher: p.producer, Wake: p.relayWake, Poll: pollInterval,
		Healthy: p.kafkaState("outbox relay"), Log: log}
	p.usage = &kafka.UsageConsumer{
		Broker: p.broker, Topic: contract.UsageTopic, DeadLetterTopic: contract.UsageTopic + contract.DeadLetterSuffix,
		Book: book, Parse: contract.ParseUsageWindow, Producer: p.deadLetters,
		Healthy: p.kafkaState("usage ledger"), Log: log, Patience: logPatience,
	}
	if c.KafkaStandIn {
		// Its log ends with its process; there is nothing to wait for.
		p.usage.Patience = 0
	}
	p.services = grpcapi.Services{
		Catalog: &grpcapi.Catalog{
			Items:      catalog.NewCollection(postgres.Items(pool, contract.CatalogChanged)),
			TaxRules:   catalog.NewCollection(postgres.TaxRules(pool, contract.CatalogChanged)),
			Promotions: catalog.NewCollection(postgres.Promotions(pool, contract.CatalogChanged)),
			Log:        log,
		},
		Snapshot: &grpcapi.Snapshot{Publisher: p.publisher, Registry: p.registry, Observer: p.streams, Log: log, Draining: p.draining},
		Fleet:    &grpcapi.Fleet{Registry: p.registry, Publisher: p.publisher},
		Ledger:   &grpcapi.Ledger{Reader: book, Log: log},
	}
	return p
}

func (p *plane) measure() error {
	if err := p.streams.Init(); err != nil {
		return err
	}
	return telemetry.Observe(telemetry.Readings{
		SnapshotVersion:   func() int64 { return p.publisher.Stats().Version },
		SnapshotResources: func() int64 { return int64(p.publisher.Stats().Resources) },
		SnapshotStreams:   func() int64 { return int64(p.publisher.Stats().Streams) },
		SnapshotOverflows: func() int64 { return p.publisher.Stats().Overflows },
		OutboxLag:         p.relay.Lag,
		OutboxPublished:   p.relay.Published,
		LedgerLag:         func() int64 { return p.usage.Stats().Lag },
		LedgerRecords:     func() int64 { return p.usage.Stats().Records },
		LedgerEntries:     func() int64 { return p.usage.Stats().Entries },
		LedgerDeadLetters: func() int64 { return p.usage.Stats().DeadLetters },
		PoolInUse:         func() int64 { return int64(p.pool.Stat().AcquiredConns()) },
		PoolOpen:          func() int64 { return int64(p.pool.Stat().TotalConns()) },
	})
}

func (p *plane) run(ctx context.Context, httpListener, grpcListener net.Listener) error {
	// The background outlives ctx: it ends only when no call is in flight any more.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	var work sync.WaitGroup
	p.start(background, &work)

	grpcServer, health := grpcapi.NewServer(p.services, p.log)
	p.ready.OnChange(func(ready bool) {
		state := healthv1.HealthCheckResponse_NOT_SERVING
		if ready {
			state = healthv1.HealthCheckResponse_SERVING
		}
		health.SetServingStatus("", state)
		p.log.InfoContext(ctx, "readiness changed", "ready", ready)
	})
	handler, err := httpapi.NewHandler(background, p.services, p.ready, p.log)
	if err != nil {
		return err
	}
	httpServer := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
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
	serve(func() error { return grpcServer.Serve(grpcListener) })
	p.log.InfoContext(ctx, "listening", "http", httpListener.Addr().String(), "grpc", grpcListener.Addr().String())

	select {
	case <-ctx.Done():
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

// within says whether wait has ended within a time.
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

// kafkaState tells of an outage of Kafka after the start. It is written down with the task, but does not undo it: the catalog
// and the nodes need no Kafka.
func (p *plane) kafkaState(part string) func(error) {
	return func(err error) {
		if err != nil {
			p.ready.Complete(taskTopics, part+" interrupted: "+err.Error())
		} else {
			p.ready.Complete(taskTopics, "")
		}
	}
}

// start begins all background work. Each part retries on its own, so none is waited for here.
func (p *plane) start(ctx context.Context, work *sync.WaitGroup) {
	work.Go(func() {
		// Nothing in the database is touched before its schema is there.
		if p.migrate(ctx) != nil {
			return
		}
		work.Go(func() { p.builder.Run(ctx) })
		work.Go(func() { postgres.Listen(ctx, p.pool, p.log, p.relayWake, p.builderWake) })
		work.Go(func() { p.registry.Run(ctx, postgres.NewFleetStore(p.pool), fleetSave, p.log) })
		if err := p.broker.EnsureTopics(ctx, topics, p.log, func(reason string) { p.ready.Reopen(taskTopics, reason) }); err != nil {
			return
		}
		p.ready.Complete(taskTopics, "")
		work.Go(func() { postgres.Lead(ctx, p.pool, postgres.RelayDuty, p.log, p.relay.Run) })
		work.Go(func() { postgres.Lead(ctx, p.pool, postgres.LedgerDuty, p.log, p.usage.Run) })
	})
}

func (p *plane) migrate(ctx context.Context) error {
	var pace backoff.Backoff
	for {
		err := postgres.Migrate(ctx, p.pool)
		if err == nil {
			p.ready.Complete(taskMigrations, "")
			return nil
		}
		p.ready.Reopen(taskMigrations, err.Error())
		if ctx.Err() == nil {
			p.log.WarnContext(ctx, "the database is not ready", "error", err)
		}
		if err := pace.Wait(ctx); err != nil {
			return err
		}
	}
}

// drain lets calls in flight finish, and cuts off those that take too long. HTTP is the last to go: it refuses new calls
// meanwhile, and tells who asks that the process is draining.
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
