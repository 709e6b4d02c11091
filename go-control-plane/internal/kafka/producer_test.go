package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/outbox"
)

// line is a producer and its client, and notes what is asked of them. It fails at what it has an error for.
type line struct {
	sarama.SyncProducer
	transactional       bool
	begin, send, commit error
	said                []string
}

func (l *line) IsTransactional() bool { return l.transactional }

func (l *line) BeginTxn() error {
	l.said = append(l.said, "begin")
	return l.begin
}

func (l *line) SendMessages(records []*sarama.ProducerMessage) error {
	l.said = append(l.said, fmt.Sprint("send ", len(records)))
	return l.send
}

func (l *line) CommitTxn() error {
	l.said = append(l.said, "commit")
	return l.commit
}

func (l *line) Close() error {
	l.said = append(l.said, "close producer")
	return nil
}

type lineClient struct {
	sarama.Client
	line *line
}

func (c lineClient) Close() error {
	c.line.said = append(c.line.said, "close client")
	return nil
}

func (l *line) connection() *connection { return &connection{lineClient{line: l}, l} }

// What was durable before the first failure counts, and nothing after it.
func TestOnlyLeadingRecordsAreDurable(t *testing.T) {
	records := []*sarama.ProducerMessage{{Topic: "0"}, {Topic: "1"}, {Topic: "2"}, {Topic: "3"}}
	failed := func(indices ...int) (failures sarama.ProducerErrors) {
		for _, n := range indices {
			failures = append(failures, &sarama.ProducerError{Msg: records[n], Err: errAway})
		}
		return failures
	}
	for name, c := range map[string]struct {
		err     error
		durable int
		reason  error
	}{
		"the first":                 {failed(0), 0, errAway},
		"one in between":            {failed(2), 2, errAway},
		"the last":                  {failed(3), 3, errAway},
		"some, told in any order":   {failed(3, 1, 2), 1, errAway},
		"a record of somebody else": {sarama.ProducerErrors{{Msg: &sarama.ProducerMessage{}, Err: errAway}}, 0, nil},
		"none that is named":        {sarama.ProducerErrors{}, 0, nil},
		"all, with one error":       {errAway, 0, errAway},
	} {
		l := &line{send: c.err}
		durable, err := l.connection().send(records)
		if durable != c.durable || err == nil || (c.reason != nil && !errors.Is(err, c.reason)) {
			t.Errorf("%s: %d durable, %v", name, durable, err)
		}
	}
}

// Without transactions records are only sent. With them all of a call are durable with the commit, or none; that another
// publisher has the place may be said at each step.
func TestATransactionIsAllOrNothing(t *testing.T) {
	records := []*sarama.ProducerMessage{{Topic: "0"}, {Topic: "1"}}
	second := func(err error) error { return sarama.ProducerErrors{{Msg: records[1], Err: err}} }
	for name, c := range map[string]struct {
		line    line
		said    string
		durable int
		err     error
	}{
		"no transactions":   {line{}, "[send 2]", 2, nil},
		"all":               {line{transactional: true}, "[begin send 2 commit]", 2, nil},
		"cannot begin":      {line{transactional: true, begin: errAway}, "[begin]", 0, errAway},
		"fails in between":  {line{transactional: true, send: second(errAway)}, "[begin send 2]", 0, errAway},
		"cannot commit":     {line{transactional: true, commit: errAway}, "[begin send 2 commit]", 0, errAway},
		"fenced at first":   {line{transactional: true, begin: sarama.ErrProducerFenced}, "[begin]", 0, outbox.ErrFenced},
		"fenced in between": {line{transactional: true, send: second(sarama.ErrInvalidProducerEpoch)}, "[begin send 2]", 0, outbox.ErrFenced},
		"fenced at the end": {line{transactional: true, commit: sarama.ErrProducerFenced}, "[begin send 2 commit]", 0, outbox.ErrFenced},
	} {
		durable, err := c.line.connection().send(records)
		if durable != c.durable || !errors.Is(err, c.err) || fmt.Sprint(c.line.said) != c.said {
			t.Errorf("%s: %d durable, %v, said %v", name, durable, err, c.line.said)
		}
	}
}

// A connection on which publishing fails is given up, the client first, so that nothing comes late; one that works is kept.
func TestAConnectionIsGivenUpAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		p := NewFencedProducer(Broker{}, "relay")
		if n, err := p.Publish(t.Context(), make([]outbox.Message, 3)); n != 0 || err != errUnclaimed {
			t.Errorf("%d published without a claim: %v", n, err)
		}
		p.current = l.connection()
		if n, err := p.Publish(t.Context(), make([]outbox.Message, 3)); n != 3 || err != nil {
			t.Errorf("%d published, %v", n, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if n, err := p.Publish(ended, make([]outbox.Message, 3)); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d published after the end, %v", n, err)
		}
		l.send = errAway
		if n, err := p.Publish(t.Context(), make([]outbox.Message, 2)); n != 0 || !errors.Is(err, errAway) {
			t.Errorf("%d published, %v", n, err)
		}
		synctest.Wait()
		if got := fmt.Sprint(l.said); got != "[send 3 send 2 close client close producer]" {
			t.Errorf("said %s", got)
		}
		if _, err := p.Publish(t.Context(), make([]outbox.Message, 3)); err != errUnclaimed {
			t.Errorf("published after a failure without another claim: %v", err)
		}
	})
}

// A claim gives up the connection before, also when it fails; so does the end. Without a place there is nothing to claim.
func TestAClaimEndsTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			producer *Producer
			end      func(*Producer) error
			failed   bool
			closed   bool
		}{
			"a claim that fails":    {NewFencedProducer(Broker{}, "relay"), func(p *Producer) error { return p.Claim(t.Context()) }, true, true},
			"no place":              {NewProducer(Broker{}), func(p *Producer) error { return p.Claim(t.Context()) }, false, false},
			"a broker without them": {NewFencedProducer(Broker{StandIn: true}, "relay"), func(p *Producer) error { return p.Claim(t.Context()) }, false, false},
			"the end":               {NewFencedProducer(Broker{}, "relay"), func(p *Producer) error { p.Close(); return nil }, false, true},
		} {
			l := &line{}
			c.producer.current = l.connection()
			err := c.end(c.producer)
			synctest.Wait()
			if (err != nil) != c.failed || (len(l.said) > 0) != c.closed || (c.producer.current == nil) != c.closed {
				t.Errorf("%s: %v, said %v", name, err, l.said)
			}
			// Whatever came before, the end can come.
			c.producer.Close()
			c.producer.Close()
		}
		// Needs no claim, only a broker.
		if n, err := NewProducer(Broker{}).Publish(t.Context(), make([]outbox.Message, 3)); n != 0 || err == nil || err == errUnclaimed {
			t.Errorf("%d published without a broker: %v", n, err)
		}
	})
}

// Whoever comes next waits until the transaction of the one before has ended, but not for ever, and not for anything else.
func TestTheTransactionBeforeIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		answers []error
		err     error
		after   time.Duration
	}{
		"nothing before":     {nil, nil, 0},
		"it ends":            {[]error{sarama.ErrConcurrentTransactions, fmt.Errorf("init: %w", sarama.ErrConcurrentTransactions)}, nil, 2 * settling},
		"something else":     {[]error{errAway}, errAway, 0},
		"it never ends":      {repeat(sarama.ErrConcurrentTransactions, 10_000), sarama.ErrConcurrentTransactions, publishTimeout + settling},
		"then something new": {[]error{sarama.ErrConcurrentTransactions, errAway}, errAway, settling},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := settled(func() (int, error) {
				if len(c.answers) == 0 {
					return 1, nil
				}
				err := c.answers[0]
				c.answers = c.answers[1:]
				return 0, err
			})
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || time.Since(began) != c.after {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// A tombstone has no value, which is not the same as an empty one; so with keys.
func TestARecordKeepsWhatTheMessageHas(t *testing.T) {
	whole := record(outbox.Message{Topic: "catalog", Key: []byte("item/mug"), Value: []byte("EUR"), Headers: []outbox.Header{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}})
	if whole.Topic != "catalog" || fmt.Sprintf("%s %s", whole.Key, whole.Value) != "item/mug EUR" || fmt.Sprintf("%s", whole.Headers) != "[{a 1} {b 2}]" {
		t.Errorf("%+v", whole)
	}
	if tombstone := record(outbox.Message{}); tombstone.Key != nil || tombstone.Value != nil || tombstone.Headers != nil {
		t.Errorf("a tombstone: %+v", tombstone)
	}
	if empty := record(outbox.Message{Key: []byte{}, Value: []byte{}}); empty.Key == nil || empty.Value == nil {
		t.Errorf("an empty value: %+v", empty)
	}
}

// The failure that counts is that of the first record, whichever is told first: what is done about it is done to that record.
func TestTheReasonIsThatOfTheFirstFailure(t *testing.T) {
	records := []*sarama.ProducerMessage{{Topic: "0"}, {Topic: "1"}, {Topic: "2"}}
	n, err := firstDurable(records, sarama.ProducerErrors{
		{Msg: records[2], Err: sarama.ErrMessageSizeTooLarge}, {Msg: records[1], Err: errAway},
	})
	if n != 1 || !errors.Is(err, errAway) || isOfTheRecord(err) {
		t.Errorf("%d durable, then %v", n, err)
	}
}

// A transaction outlasts a call of Publish, and does not hold up readers for as long as the library's minute.
func TestATransactionOutlastsItsCall(t *testing.T) {
	plain, fenced := Broker{}.config(), Broker{}.config()
	inTransactions(plain, "")
	inTransactions(fenced, "relay")
	if plain.Producer.Transaction.ID != "" || fenced.Producer.Transaction.ID != "relay" {
		t.Errorf("places %q and %q", plain.Producer.Transaction.ID, fenced.Producer.Transaction.ID)
	}
	if timeout := fenced.Producer.Transaction.Timeout; timeout <= publishTimeout || timeout > 20*time.Second {
		t.Errorf("a transaction ends after %v", timeout)
	}
	for name, config := range map[string]*sarama.Config{"without a place": plain, "with a place": fenced} {
		if err := config.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A broker that lets nobody produce is told at once, and the connection to it is not left behind.
func TestARefusedProducerLeavesNothing(t *testing.T) {
	b := silent(t)
	script{partitions: 1, more: map[string]sarama.MockResponse{
		"InitProducerIDRequest": sarama.NewMockInitProducerIDResponse(t).SetError(sarama.ErrClusterAuthorizationFailed),
	}}.follow(t, b)
	nothingIsLeft := noLeak(t)
	if n, err := NewProducer(Broker{Addresses: []string{b.Addr()}}).Publish(t.Context(), make([]outbox.Message, 3)); n != 0 || !errors.Is(err, sarama.ErrClusterAuthorizationFailed) {
		t.Errorf("%d published, %v", n, err)
	}
	nothingIsLeft()
}
