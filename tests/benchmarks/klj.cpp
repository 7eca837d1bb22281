// GAEC and KLj of github.com/bjoern-andres/graph, for comparison; clustering.py compiles and runs it.
//
// Run: klj FILE, a file of float64: nodes, then the two ends and the weight of each edge. Prints processor seconds and
// the cost after GAEC and after KLj.

#include <ctime>
#include <fstream>
#include <iostream>
#include <limits>
#include <vector>

#include "andres/graph/graph.hxx"
#include "andres/graph/multicut/greedy-additive.hxx"
#include "andres/graph/multicut/kernighan-lin.hxx"

int main(int, char** arguments) {
    std::ifstream file(arguments[1], std::ios::binary);
    double nodes, edge[3];
    file.read(reinterpret_cast<char*>(&nodes), sizeof nodes);
    andres::graph::Graph<> graph(static_cast<std::size_t>(nodes));
    std::vector<double> weights;
    while (file.read(reinterpret_cast<char*>(edge), sizeof edge)) {
        graph.insertEdge(static_cast<std::size_t>(edge[0]), static_cast<std::size_t>(edge[1]));
        weights.push_back(edge[2]);
    }
    const std::clock_t started = std::clock();
    const auto report = [&](const std::vector<char>& cut) {
        double cost = 0;
        for (std::size_t e = 0; e < weights.size(); ++e)
            if (cut[e] ? weights[e] > 0 : weights[e] < 0) cost += std::abs(weights[e]);
        std::cout.precision(17);
        std::cout << double(std::clock() - started) / CLOCKS_PER_SEC << ' ' << cost << std::endl;
    };
    std::vector<char> greedy(weights.size()), joined(weights.size());
    andres::graph::multicut::greedyAdditiveEdgeContraction(graph, weights, greedy);
    report(greedy);
    andres::graph::multicut::kernighanLin(graph, weights, greedy, joined);
    report(joined);
}
