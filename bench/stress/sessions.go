package stress

type session struct{}
