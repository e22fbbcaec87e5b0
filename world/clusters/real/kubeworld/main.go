// kubeworld is a Kubernetes control plane in one test binary: etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler and kwok (fake kubelets), each as its own project ships it. It is never deployed.
//
// usage: kubeworld {etcd|apiserver|controllers|scheduler|kwok} FLAGS...
package main

import (
	"fmt"
	"os"
	_ "time/tzdata"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

var components = map[string]func() int{
	"etcd":        func() int { etcdmain.Main(os.Args); return 0 },
	"apiserver":   func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"controllers": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
	"scheduler":   func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kwok":        runKwok,
}

func main() {
	if len(os.Args) > 1 {
		if run, known := components[os.Args[1]]; known {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	fmt.Fprintln(os.Stderr, "usage: kubeworld {etcd|apiserver|controllers|scheduler|kwok} FLAGS...")
	os.Exit(2)
}

func runKwok() int {
	// component-base has put its own --version on the process-wide flag set, which cobra would adopt.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err == nil {
		command := kwok.NewCommand(ctx)
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
