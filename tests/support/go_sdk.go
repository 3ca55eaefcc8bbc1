// Asks AWS who it is, by the SDK for Go as Debian has it: one that looks for no AWS_ENDPOINT_URL yet, and is told.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	identity, err := identity(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(*identity.Arn)
}

func identity(ctx context.Context) (*sts.GetCallerIdentityOutput, error) {
	loaded, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := sts.EndpointResolverFromURL(os.Getenv("AWS_ENDPOINT_URL"), func(endpoint *aws.Endpoint) {
		endpoint.SigningRegion = loaded.Region
	})
	client := sts.NewFromConfig(loaded, sts.WithEndpointResolver(endpoint))
	return client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
}
