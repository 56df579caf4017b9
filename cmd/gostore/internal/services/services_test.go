package services

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAll_EveryLineIsAService(t *testing.T) {
	port := regexp.MustCompile(`^[0-9]+(-[0-9]+)?$`)
	seen := map[[2]string]string{}
	for service := range All() {
		assert.Contains(t, []string{"tcp", "udp", "sctp", "dccp"}, service.Protocol)
		assert.Regexp(t, port, service.Port)
		assert.NotEmpty(t, service.Name)
		assert.NotContains(t, service.Description, "\t")
		seen[[2]string{service.Protocol, service.Port}] = service.Name
	}
	assert.Len(t, seen, 11_470, "a protocol and a port identify a service")
	assert.Equal(t, "https", seen[[2]string{"tcp", "443"}])
}

func TestAll_StopsWhenAsked(t *testing.T) {
	count := 0
	for range All() {
		count++
		if count == 3 {
			break
		}
	}
	assert.Equal(t, 3, count)
}
