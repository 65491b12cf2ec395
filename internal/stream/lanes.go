package stream

import "sync"

// lanes runs jobs concurrently, those of one key one after the other in the
// order in which they came.
type lanes struct {
	slots chan struct{} // bounds the concurrent jobs

	mu      sync.Mutex
	waiting map[string][]func() // by busy key: the jobs after the one that runs
	jobs    sync.WaitGroup
}

func newLanes(workers int) *lanes {
	return &lanes{slots: make(chan struct{}, workers), waiting: map[string][]func(){}}
}

// submit queues a job; it does not wait.
func (l *lanes) submit(key string, job func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if queue, busy := l.waiting[key]; busy {
		l.waiting[key] = append(queue, job)
		return
	}
	l.waiting[key] = nil
	l.jobs.Go(func() { l.run(key, job) })
}

// run runs a key's jobs until none is left. The slot is given back between
// two, so that a key with many does not keep others waiting.
func (l *lanes) run(key string, job func()) {
	for job != nil {
		l.slots <- struct{}{}
		job()
		<-l.slots
		job = l.following(key)
	}
}

func (l *lanes) following(key string) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[key]
	if len(queue) == 0 {
		delete(l.waiting, key)
		return nil
	}
	l.waiting[key] = queue[1:]
	return queue[0]
}

// idle runs fn, which only waits, in the middle of a job: its slot is another's
// meanwhile.
func (l *lanes) idle(fn func()) {
	<-l.slots
	defer func() { l.slots <- struct{}{} }()
	fn()
}

// wait returns when all jobs are done.
func (l *lanes) wait() { l.jobs.Wait() }
