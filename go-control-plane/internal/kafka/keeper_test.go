package kafka

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

// operator is a cluster that notes which topics are made and given their settings; or it refuses.
type operator struct {
	sarama.ClusterAdmin
	create, alter error
	did           []string
}

func (o *operator) CreateTopic(topic string, detail *sarama.TopicDetail, validateOnly bool) error {
	did := fmt.Sprintf("make %s with %d partitions on %d brokers", topic, detail.NumPartitions, detail.ReplicationFactor)
	for _, name := range []string{"cleanup.policy", "message.timestamp.type"} {
		if value := detail.ConfigEntries[name]; value != nil {
			did += " " + *value
		}
	}
	if validateOnly {
		did = "check"
	}
	o.did = append(o.did, did)
	return o.create
}

func (o *operator) IncrementalAlterConfig(_ sarama.ConfigResourceType, topic string, entries map[string]sarama.IncrementalAlterConfigsEntry, validateOnly bool) error {
	did := "set " + topic
	for _, name := range []string{"cleanup.policy", "message.timestamp.type"} {
		if entry, has := entries[name]; has {
			did += " " + *entry.Value
		}
	}
	if validateOnly {
		did = "check"
	}
	o.did = append(o.did, did)
	return o.alter
}

// answers returns one answer after the other for a topic's id: an id or an error.
func answers(all ...any) func() (string, error) {
	return func() (string, error) {
		first := all[0]
		all = all[1:]
		if err, failed := first.(error); failed {
			return "", err
		}
		return first.(string), nil
	}
}

// A topic is made with its settings, or given them once if others have made it; again if it is another one.
func TestATopicIsKept(t *testing.T) {
	const gone = sarama.ErrUnknownTopicOrPartition
	usage := Topic{Name: "usage", Partitions: 3}
	made, set := "make usage with 3 partitions on -1 brokers LogAppendTime", "set usage LogAppendTime"
	for name, c := range map[string]struct {
		set      map[string]string
		ids      []any
		operator operator
		did      []string
		known    string
		err      error
		says     string
	}{
		"absent":                      {nil, []any{gone}, operator{}, []string{made}, "", nil, ""},
		"vanished":                    {map[string]string{"usage": "a"}, []any{gone}, operator{}, []string{made}, "a", nil, "has vanished and was made again"},
		"of others":                   {nil, []any{"a"}, operator{}, []string{set}, "a", nil, ""},
		"seen before":                 {map[string]string{"usage": "a"}, []any{"a"}, operator{}, nil, "a", nil, ""},
		"another one":                 {map[string]string{"usage": "a"}, []any{"b"}, operator{}, []string{set}, "b", nil, ""},
		"made by others meanwhile":    {nil, []any{gone, "a"}, operator{create: sarama.ErrTopicAlreadyExists}, []string{made, set}, "a", nil, ""},
		"and the broker is away":      {nil, []any{gone, errAway}, operator{create: sarama.ErrTopicAlreadyExists}, []string{made}, "", errAway, ""},
		"the cluster makes none":      {nil, []any{gone}, operator{create: errAway}, []string{made}, "", errAway, ""},
		"the broker is away":          {nil, []any{errAway}, operator{}, nil, "", errAway, ""},
		"the cluster takes no change": {nil, []any{"a"}, operator{alter: errAway}, []string{set}, "a", nil, "could not be given its settings"},
	} {
		var lines bytes.Buffer
		k := &Keeper{Log: slog.New(slog.NewTextHandler(&lines, nil)), set: c.set}
		err := k.keep(t.Context(), &c.operator, answers(c.ids...), usage)
		if err != c.err || fmt.Sprint(c.operator.did) != fmt.Sprint(c.did) || k.set["usage"] != c.known {
			t.Errorf("%s: %v, did %q, known as %q", name, err, c.operator.did, k.set["usage"])
		}
		if text := lines.String(); (text == "") != (c.says == "") || !strings.Contains(text, c.says) {
			t.Errorf("%s: lines:\n%s", name, text)
		}
	}
}

// A cluster that takes no change of settings says so for each topic; it is one line.
func TestRefusedSettingsAreReportedOnce(t *testing.T) {
	var lines bytes.Buffer
	k := &Keeper{Log: slog.New(slog.NewTextHandler(&lines, nil))}
	for _, topic := range []string{"catalog", "usage"} {
		if err := k.keep(t.Context(), &operator{alter: errAway}, answers("a"), Topic{Name: topic, Compacted: true}); err != nil {
			t.Fatal(err)
		}
	}
	if text := lines.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "compact") {
		t.Errorf("lines:\n%s", text)
	}
}

// A look names the broker, or the topic, that is at fault, and leaves nothing running; the next one can follow.
func TestALookSaysWhatIsAtFault(t *testing.T) {
	standIn, cluster := sarama.NewMockBroker(t, 1), silent(t)
	defer standIn.Close()
	standIn.SetHandlerByMap(map[string]sarama.MockResponse{
		"MetadataRequest": sarama.NewMockMetadataResponse(t).SetBroker(standIn.Addr(), 1).SetLeader("usage", 0, 1),
	})
	refused := &sarama.CreateTopicsResponse{Version: 5, TopicErrors: map[string]*sarama.TopicError{"catalog": {Err: sarama.ErrTopicAuthorizationFailed}},
		TopicResults: map[string]*sarama.CreatableTopicResult{"catalog": {}}}
	script{partitions: 1, more: map[string]sarama.MockResponse{"CreateTopicsRequest": sarama.NewMockWrapper(refused)}}.follow(t, cluster)
	headless := silent(t)
	script{partitions: 1, headless: true}.follow(t, headless)
	for name, c := range map[string]struct {
		broker Broker
		topics []Topic
		says   string
	}{
		"in memory, all there":  {Broker{[]string{standIn.Addr()}, true}, []Topic{{Name: "usage"}}, ""},
		"in memory, one absent": {Broker{[]string{standIn.Addr()}, true}, []Topic{{Name: "usage"}, {Name: "catalog"}}, "topic catalog"},
		"all there":             {Broker{[]string{cluster.Addr()}, false}, nil, ""},
		"one is not allowed":    {Broker{[]string{cluster.Addr()}, false}, []Topic{{Name: "catalog"}}, "topic catalog"},
		"no controller":         {Broker{[]string{headless.Addr()}, false}, nil, sarama.ErrControllerNotAvailable.Error()},
		"the broker is away":    {Broker{[]string{"127.0.0.1:1"}, true}, nil, "127.0.0.1:1"},
	} {
		nothingIsLeft := noLeak(t)
		k := &Keeper{Broker: c.broker, Topics: c.topics}
		for range 2 {
			if err := k.look(t.Context()); (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		nothingIsLeft()
	}
}
